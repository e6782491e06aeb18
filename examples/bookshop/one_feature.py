"""Step 5: placing an order becomes a handler, on the same database and session; everything else stays as it is."""

from __future__ import annotations

from bookshop.tables import Order, OrderPlaced, outbox
from bookshop.web import app
from insula import Command, Module, Rejection, System, UnitOfWork

bookshop = Module("bookshop")


class NothingOrdered(Rejection, status=422):
    """An order of nothing."""


# fmt: off
class PlaceOrder(Command[int], rejects=(NothingOrdered,)):
    customer: str
    cents: int

@bookshop.post("/orders", status=201)                  # asked before the mounted application, which has this path too
@bookshop.handle(PlaceOrder)
async def place_order(command: PlaceOrder, work: UnitOfWork) -> int:
    if command.cents <= 0:
        raise NothingOrdered
    order = Order(customer=command.customer, cents=command.cents)
    work.session.add(order)
    await work.session.flush()
    outbox.add(work.session, OrderPlaced(number=order.number, customer=order.customer, cents=order.cents))
    return order.number

bookshop.mount("/", app)
shop = System("bookshop", bookshop)                    # insula run bookshop.one_feature:shop
# fmt: on
