"""What the modules have in their books, side by side. Only the audit looks at all of them, and it only reads."""

from collections import Counter, defaultdict
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import select

from insula import Money
from insula.messages import decode
from insula.runtime.inspection import Inspection
from shop.billing.module import billing, invoices, payments
from shop.inventory.module import inventory, receipts, reservations, reserved_units, stock
from shop.kernel import OrderId, ProductId
from shop.notifications.module import mails, notifications
from shop.orders.contract import OrderPlaced
from shop.orders.module import lines, orders, placed
from shop.shipping.module import shipments, shipping
from shop.system import shop


@dataclass(frozen=True, slots=True)
class OrderedLine:
    """A line of an order, as orders has it."""

    product_id: ProductId
    quantity: int
    unit_price: Money
    discount: Decimal
    total: Money


@dataclass(frozen=True, slots=True)
class OrderEntry:
    """An order, as orders has it."""

    order_id: OrderId
    status: str
    reason: str | None
    total: Money
    lines: tuple[OrderedLine, ...]


@dataclass(frozen=True, slots=True)
class StockEntry:
    """Units of a product, as inventory has them; `received` is the sum of its receipts."""

    product_id: ProductId
    received: int
    available: int
    reserved: int
    shipped: int


@dataclass(frozen=True, slots=True)
class PaymentEntry:
    """A payment, as billing has it."""

    status: str
    amount: Money | None
    refunded: bool


@dataclass(frozen=True, slots=True)
class LogEntry:
    """What a log tells about an order: which event, in which place, caused by which message."""

    module: str
    position: int
    type: str
    key: str | None
    causation_id: str | None


@dataclass(frozen=True, slots=True)
class Books:
    """Everything the invariants look at."""

    orders: tuple[OrderEntry, ...]
    stock: tuple[StockEntry, ...]
    reservations: dict[OrderId, str]
    reserved_units: dict[OrderId, dict[ProductId, int]]
    payments: dict[OrderId, PaymentEntry]
    invoices: tuple[tuple[OrderId, Money], ...]
    shipments: tuple[tuple[OrderId, int], ...]
    mails: dict[OrderId, Counter[str]]
    log: tuple[LogEntry, ...]
    placed_events: tuple[OrderPlaced, ...]
    parked: tuple[str, ...]


def read_books(data: Inspection) -> Books:
    """Read every module's data. While the shop runs, one module may be a moment ahead of another."""
    log, placed_events = read_logs(data)
    return Books(
        orders=read_orders(data),
        stock=read_stock(data),
        reservations={row.order_id: row.status for row in data.rows(inventory, select(reservations))},
        reserved_units=read_reserved_units(data),
        payments=read_payments(data),
        invoices=tuple(
            (row.order_id, Money.of_minor(row.total_minor, row.currency))
            for row in data.rows(billing, select(invoices))
        ),
        shipments=tuple((row.order_id, row.units) for row in data.rows(shipping, select(shipments))),
        mails=read_mails(data),
        log=log,
        placed_events=placed_events,
        parked=tuple(
            f"{each.consumer}: {each.state.value}, key {each.key}, after {each.attempts} attempts: {each.error}"
            for module in shop.modules
            for each in data.parked(module)
        ),
    )


def read_orders(data: Inspection) -> tuple[OrderEntry, ...]:
    """Orders with their lines."""
    found: dict[str, list[OrderedLine]] = defaultdict(list)
    currencies = {row.order_id: row.currency for row in data.rows(orders, select(placed))}
    for row in data.rows(orders, select(lines).order_by(lines.c.order_id, lines.c.position)):
        currency = currencies[row.order_id]
        found[row.order_id].append(
            OrderedLine(
                row.product_id,
                row.quantity,
                Money.of_minor(row.unit_price_minor, currency),
                Decimal(row.discount),
                Money.of_minor(row.total_minor, currency),
            )
        )
    return tuple(
        OrderEntry(
            row.order_id,
            row.status,
            row.reason,
            Money.of_minor(row.total_minor, row.currency),
            tuple(found[row.order_id]),
        )
        for row in data.rows(orders, select(placed).order_by(placed.c.number))
    )


def read_stock(data: Inspection) -> tuple[StockEntry, ...]:
    """Stock of every product that was ever received."""
    received: Counter[str] = Counter()
    for row in data.rows(inventory, select(receipts)):
        received[row.product_id] += row.quantity
    levels = {row.product_id: row for row in data.rows(inventory, select(stock))}
    return tuple(
        StockEntry(
            ProductId(product_id),
            received[product_id],
            levels[product_id].available if product_id in levels else 0,
            levels[product_id].reserved if product_id in levels else 0,
            levels[product_id].shipped if product_id in levels else 0,
        )
        for product_id in sorted({*received, *levels})
    )


def read_reserved_units(data: Inspection) -> dict[OrderId, dict[ProductId, int]]:
    """Units by order and product, whatever became of the reservation."""
    found: dict[OrderId, dict[ProductId, int]] = defaultdict(dict)
    for row in data.rows(inventory, select(reserved_units)):
        found[row.order_id][row.product_id] = row.quantity
    return dict(found)


def read_payments(data: Inspection) -> dict[OrderId, PaymentEntry]:
    """Payments by order."""
    return {
        row.order_id: PaymentEntry(
            row.status,
            None if row.currency is None else Money.of_minor(row.amount_minor, row.currency),
            row.status == "reversed" and row.charge_key is not None,
        )
        for row in data.rows(billing, select(payments))
    }


def read_mails(data: Inspection) -> dict[OrderId, Counter[str]]:
    """How many mails went out by order and occasion."""
    found: dict[OrderId, Counter[str]] = defaultdict(Counter)
    for row in data.rows(notifications, select(mails)):
        found[row.order_id][row.occasion] += 1
    return dict(found)


def read_logs(data: Inspection) -> tuple[tuple[LogEntry, ...], tuple[OrderPlaced, ...]]:
    """Every module's log, and the orders that were announced."""
    entries, announced = [], []
    for module in shop.modules:
        for envelope in data.log(module):
            entries.append(
                LogEntry(module.name, envelope.position, envelope.type, envelope.subject, envelope.causation_id)
            )
            if envelope.type == OrderPlaced.__message_name__:
                announced.append(decode(envelope.data, OrderPlaced))
    return tuple(entries), tuple(announced)
