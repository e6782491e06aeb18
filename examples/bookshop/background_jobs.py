"""Step 6: what Celery did for this feature becomes a handler and a timer; the outbox is needed no more for it."""

from __future__ import annotations

from bookshop.tables import Order, OrderPlaced, Receipt, inbox
from bookshop.web import app
from insula import Command, Module, SyncUnitOfWork, System, UnitOfWork

bookshop = Module("bookshop")


class PlaceOrder(Command[int]):
    """As in step 5."""

    customer: str
    cents: int


# fmt: off
@bookshop.post("/orders", status=201)
@bookshop.handle(PlaceOrder)
async def place_order(command: PlaceOrder, work: UnitOfWork) -> int:
    order = Order(customer=command.customer, cents=command.cents)
    work.session.add(order)
    await work.session.flush()
    work.publish(OrderPlaced(number=order.number, customer=order.customer, cents=order.cents))
    return order.number

@bookshop.on(OrderPlaced)                              # was the task OrderPlaced: its mark commits by itself
async def send_receipt(event: OrderPlaced, work: UnitOfWork) -> None:
    work.session.add(Receipt(order_number=event.number, customer=event.customer))

@bookshop.every("0 3 * * *")                           # was a schedule of Celery's beat
def prune(work: SyncUnitOfWork) -> None:
    inbox.prune(work.session)

bookshop.mount("/", app)
shop = System("bookshop", bookshop)                    # insula run bookshop.background_jobs:shop
# fmt: on
