"""Orders as rows of the module's tables."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Row, Select, bindparam, insert, select, update

from insula import Money, UnitOfWork
from shop.kernel import Address, OrderId
from shop.orders.contract import CancellationReason, OrderNotFound, OrderStatus, PricedLine
from shop.orders.domain import Order
from shop.orders.module import lines, placed

# Built once: SQLAlchemy takes longer to build and recognise a statement than SQLite takes to run it.
FIND = select(placed).where(placed.c.order_id == bindparam("order_id"))
HOLD = FIND.with_for_update()
FIND_LINES = select(lines).where(lines.c.order_id == bindparam("order_id")).order_by(lines.c.position)
UPDATE = update(placed).where(placed.c.order_id == bindparam("of_order"))


async def add_order(order: Order, work: UnitOfWork) -> None:
    """Insert a new order with its lines."""
    await work.execute(insert(placed), _row_of(order))
    await work.execute(insert(lines), _line_rows(order))


async def load_order(order_id: OrderId, work: UnitOfWork) -> Order:
    """The order, held until the unit of work ends so that nobody decides beside us. Raises OrderNotFound."""
    _, order = await _read(HOLD, order_id, work)
    return order


async def find_order(order_id: OrderId, work: UnitOfWork) -> tuple[int, Order]:
    """The order with its number, to look at. Raises OrderNotFound."""
    return await _read(FIND, order_id, work)


async def save_outcome(order: Order, work: UnitOfWork) -> None:
    """Store what became of the order."""
    outcome = {"status": order.status.value, "reason": order.reason and order.reason.value, "detail": order.detail}
    await work.execute(UPDATE, {"of_order": order.order_id, **outcome})


def shown_number(number: int) -> str:
    """The number as people quote it: ORD-0001."""
    return f"ORD-{number:04d}"


async def _read(statement: Select[Any], order_id: OrderId, work: UnitOfWork) -> tuple[int, Order]:
    row = (await work.execute(statement, {"order_id": order_id})).first()
    if row is None:
        raise OrderNotFound(order_id=order_id)
    its_lines = await work.execute(FIND_LINES, {"order_id": order_id})
    order = Order(
        order_id=row.order_id,
        customer_id=row.customer_id,
        lines=tuple(_line_of(line, row.currency) for line in its_lines),
        total=Money.of_minor(row.total_minor, row.currency),
        ship_to=Address(
            name=row.recipient,
            street=row.street,
            postal_code=row.postal_code,
            city=row.city,
            region=row.region,
            country=row.country,
        ),
        placed_at=datetime.fromisoformat(row.placed_at),
        status=OrderStatus(row.status),
        reason=CancellationReason(row.reason) if row.reason else None,
        detail=row.detail,
    )
    return row.number, order


def _row_of(order: Order) -> dict[str, object]:
    return {
        "order_id": order.order_id,
        "customer_id": order.customer_id,
        "status": order.status.value,
        "detail": order.detail,
        "total_minor": order.total.minor,
        "currency": order.total.currency,
        "recipient": order.ship_to.name,
        "street": order.ship_to.street,
        "postal_code": order.ship_to.postal_code,
        "city": order.ship_to.city,
        "region": order.ship_to.region,
        "country": order.ship_to.country,
        "placed_at": order.placed_at.isoformat(),
    }


def _line_rows(order: Order) -> list[dict[str, object]]:
    return [
        {
            "order_id": order.order_id,
            "position": position,
            "product_id": line.product_id,
            "quantity": line.quantity,
            "unit_price_minor": line.unit_price.minor,
            "discount": str(line.discount),
            "total_minor": line.total.minor,
        }
        for position, line in enumerate(order.lines, start=1)
    ]


def _line_of(row: Row[Any], currency: str) -> PricedLine:
    return PricedLine(
        product_id=row.product_id,
        quantity=row.quantity,
        unit_price=Money.of_minor(row.unit_price_minor, currency),
        discount=Decimal(row.discount),
        total=Money.of_minor(row.total_minor, currency),
    )
