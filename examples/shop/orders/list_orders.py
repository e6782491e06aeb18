"""GET /orders: orders joined with their customers' names, each from the module that owns it."""

from datetime import datetime
from typing import Any

from sqlalchemy import Row, select

from insula import Ask, Money, UnitOfWork
from shop.customers.contract import GetCustomerNames
from shop.orders.contract import CancellationReason, ListOrders, OrderStatus, OrderSummary
from shop.orders.module import orders, placed
from shop.orders.records import shown_number

LARGEST_PAGE = 1000
UNKNOWN_CUSTOMER = "unknown customer"


@orders.get("/orders")
@orders.handle(ListOrders)
async def list_orders(query: ListOrders, ask: Ask, work: UnitOfWork) -> tuple[OrderSummary, ...]:
    """The newest orders; one question fetches the names of all customers on the page."""
    page = select(placed).order_by(placed.c.number.desc()).limit(min(max(query.limit, 1), LARGEST_PAGE))
    if query.customer_id is not None:
        page = page.where(placed.c.customer_id == query.customer_id)
    if query.status is not None:
        page = page.where(placed.c.status == query.status.value)
    rows = (await work.execute(page)).all()
    names = await ask(GetCustomerNames(customer_ids=tuple(sorted({row.customer_id for row in rows}))))
    return tuple(_summary_of(row, names.get(row.customer_id, UNKNOWN_CUSTOMER)) for row in rows)


def _summary_of(row: Row[Any], customer_name: str) -> OrderSummary:
    return OrderSummary(
        order_id=row.order_id,
        number=shown_number(row.number),
        customer_id=row.customer_id,
        customer_name=customer_name,
        status=OrderStatus(row.status),
        total=Money.of_minor(row.total_minor, row.currency),
        placed_at=datetime.fromisoformat(row.placed_at),
        reason=CancellationReason(row.reason) if row.reason else None,
    )
