"""The FastAPI application. Step 1: what it tells leaves with the commit. Step 2: payments within a pipeline."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field

from bookshop.payments import charge
from bookshop.tables import Order, OrderPlaced, Session, outbox

app = FastAPI(title="bookshop")


class NewOrder(BaseModel):
    """The body of POST /orders."""

    customer: Annotated[str, Field(min_length=1)]
    cents: Annotated[int, Field(gt=0)]


# fmt: off
@app.post("/orders", status_code=201)
def place_order(new: NewOrder) -> int:
    with Session.begin() as session:
        order = Order(customer=new.customer, cents=new.cents)
        session.add(order)
        session.flush()                                # gives the order its number
        outbox.add(session, OrderPlaced(number=order.number, customer=new.customer, cents=new.cents))
        return order.number                            # was, after the commit: send_receipt.delay(order.number)
# fmt: on


@app.get("/orders/{number}")
def get_order(number: int) -> dict[str, int | str | None]:
    """One order."""
    with Session() as session:
        order = session.get(Order, number)
        if order is None:
            raise HTTPException(404, "there is no such order")
        return {"number": order.number, "customer": order.customer, "cents": order.cents, "paid": order.paid}


@app.post("/orders/{number}/payment")
def pay_order(number: int) -> str:
    """Charge an order; harmless when it is paid already."""
    with Session.begin() as session:
        order = session.get(Order, number, with_for_update=True)
        if order is None:
            raise HTTPException(404, "there is no such order")
        if order.paid is None:
            order.paid = charge(f"order-{number}", order.cents)
        return order.paid
