"""What must be true of the shop's books once it has come to rest. Pure: books in, findings out."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby, pairwise
from operator import attrgetter

from insula import Money
from shop.audit.books import Books, OrderEntry
from shop.billing.domain import PaymentStatus
from shop.inventory.domain import ReservationStatus
from shop.kernel import OrderId
from shop.notifications.contract import Occasion
from shop.orders.contract import CancellationReason, OrderStatus

Figures = dict[str, int | str]


@dataclass(frozen=True, slots=True)
class Finding:
    """One invariant, the figures it was checked on, and what breaks it."""

    invariant: str
    figures: Figures
    violations: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether nothing breaks it."""
        return not self.violations


def audit(books: Books) -> tuple[Finding, ...]:
    """Check every invariant."""
    return tuple(_finding(name, check, books) for name, check in INVARIANTS.items())


def _finding(name: str, check: Callable[[Books, Figures], Iterator[str]], books: Books) -> Finding:
    figures: Figures = {}
    violations = tuple(check(books, figures))
    return Finding(name, figures, violations)


def every_order_has_ended(books: Books, figures: Figures) -> Iterator[str]:
    """Confirmed, or cancelled with a reason."""
    figures["orders"] = len(books.orders)
    for status, count in sorted(Counter(order.status for order in books.orders).items()):
        figures[status] = count
    for reason, count in sorted(Counter(order.reason for order in books.orders if order.reason).items()):
        figures[reason] = count
    reasons = {reason.value for reason in CancellationReason}
    for order in books.orders:
        if order.status == OrderStatus.CANCELLED and order.reason not in reasons:
            yield f"order {order.order_id} is cancelled without a reason"
        elif order.status == OrderStatus.CONFIRMED and order.reason is not None:
            yield f"order {order.order_id} is confirmed, with the reason {order.reason!r}"
        elif order.status not in (OrderStatus.CANCELLED, OrderStatus.CONFIRMED):
            yield f"order {order.order_id} is {order.status}"


def totals_are_exact(books: Books, figures: Figures) -> Iterator[str]:
    """Each line is price * quantity * (1 - discount), rounded half to even; each total the sum of its lines."""
    figures["lines"] = sum(len(order.lines) for order in books.orders)
    for order in books.orders:
        for line in order.lines:
            exact = Money.rounded(
                line.unit_price.amount * line.quantity * (Decimal(1) - line.discount), line.unit_price.currency
            )
            if line.total != exact:
                yield f"order {order.order_id}, product {line.product_id}: {line.total} instead of {exact}"
        exact_total = Money.total((line.total for line in order.lines), order.total.currency)
        if order.total != exact_total:
            yield f"order {order.order_id}: the total is {order.total}, its lines are {exact_total}"


def stock_adds_up(books: Books, figures: Figures) -> Iterator[str]:
    """For every product: received = left + shipped, and nothing is reserved any more."""
    for name in ("received", "available", "reserved", "shipped"):
        figures[name] = sum(getattr(entry, name) for entry in books.stock)
    figures["products"] = len(books.stock)
    for entry in books.stock:
        name = f"product {entry.product_id}"
        if entry.received != entry.available + entry.reserved + entry.shipped:
            yield (
                f"{name}: {entry.received} received, but {entry.available} available, {entry.reserved} reserved "
                f"and {entry.shipped} shipped"
            )
        if min(entry.available, entry.reserved, entry.shipped) < 0:
            yield f"{name}: less than nothing"
        if entry.reserved:
            yield f"{name}: {entry.reserved} still reserved"


def stock_was_shipped_as_ordered(books: Books, figures: Figures) -> Iterator[str]:
    """Exactly the confirmed orders have shipped units, exactly those of their lines, and the stock knows of each."""
    figures.update(sorted(Counter(books.reservations.values()).items()))
    shipped: Counter[str] = Counter()
    for order in books.orders:
        status = books.reservations.get(order.order_id)
        if (status == ReservationStatus.SHIPPED) != (order.status == OrderStatus.CONFIRMED):
            yield f"order {order.order_id} is {order.status}, its stock {status}"
        if status == ReservationStatus.RESERVED:
            yield f"order {order.order_id}: its stock is still reserved"
        if status == ReservationStatus.SHIPPED:
            wanted = Counter[str]()
            for line in order.lines:
                wanted[line.product_id] += line.quantity
            units = books.reserved_units.get(order.order_id, {})
            shipped.update({str(product_id): count for product_id, count in units.items()})
            if wanted != units:
                yield f"order {order.order_id}: {dict(wanted)} ordered, {units} shipped"
    for entry in books.stock:
        if entry.shipped != shipped[entry.product_id]:
            yield f"product {entry.product_id}: {entry.shipped} shipped, {shipped[entry.product_id]} by orders"
    unknown = set(books.reservations) - {order.order_id for order in books.orders}
    yield from (f"stock of an unknown order {order_id}" for order_id in sorted(unknown))


def one_invoice_over_the_exact_total(books: Books, figures: Figures) -> Iterator[str]:
    """Each confirmed order has one invoice over its exact total; no other order has any."""
    figures["invoices"] = len(books.invoices)
    amounts: dict[OrderId, list[Money]] = {}
    for order_id, total in books.invoices:
        amounts.setdefault(order_id, []).append(total)
    for order in books.orders:
        expected = [order.total] if order.status == OrderStatus.CONFIRMED else []
        found = amounts.pop(order.order_id, [])
        if found != expected:
            yield f"order {order.order_id} is {order.status}: invoices over {_shown(found)}, not {_shown(expected)}"
    yield from (f"an invoice for an unknown order {order_id}" for order_id in sorted(amounts))


def one_shipment_each(books: Books, figures: Figures) -> Iterator[str]:
    """Each confirmed order has one shipment with all its units; no other order has any."""
    figures["shipments"] = len(books.shipments)
    units: dict[OrderId, list[int]] = {}
    for order_id, count in books.shipments:
        units.setdefault(order_id, []).append(count)
    for order in books.orders:
        expected = [_units_of(order)] if order.status == OrderStatus.CONFIRMED else []
        found = units.pop(order.order_id, [])
        if found != expected:
            yield f"order {order.order_id} is {order.status}: shipments of {found} units, expected {expected}"
    yield from (f"a shipment for an unknown order {order_id}" for order_id in sorted(units))


def money_follows_the_order(books: Books, figures: Figures) -> Iterator[str]:
    """Each confirmed order is charged its exact total; no cancelled one keeps a charge."""
    figures.update(sorted(Counter(payment.status for payment in books.payments.values()).items()))
    for order in books.orders:
        payment = books.payments.get(order.order_id)
        charged = payment is not None and payment.status == PaymentStatus.CHARGED
        if charged != (order.status == OrderStatus.CONFIRMED):
            yield f"order {order.order_id} is {order.status}, its payment {payment.status if payment else 'missing'}"
        if payment is not None and payment.amount is not None and payment.amount != order.total:
            yield f"order {order.order_id}: payment of {payment.amount}, total {order.total}"
    unknown = set(books.payments) - {order.order_id for order in books.orders}
    yield from (f"a payment for an unknown order {order_id}" for order_id in sorted(unknown))


def customers_were_told_once(books: Books, figures: Figures) -> Iterator[str]:
    """Exactly one mail on each occasion there was."""
    figures["mails"] = sum(mails.total() for mails in books.mails.values())
    for order in books.orders:
        occasions: set[str] = set()
        if order.status == OrderStatus.CONFIRMED:
            occasions = {Occasion.INVOICED.value, Occasion.SHIPPED.value}
        elif order.status == OrderStatus.CANCELLED:
            occasions = {Occasion.CANCELLED.value}
            if (payment := books.payments.get(order.order_id)) and payment.refunded:
                occasions.add(Occasion.REFUNDED.value)
        told = books.mails.get(order.order_id, Counter())
        if told != Counter(occasions):
            yield f"order {order.order_id} is {order.status}: mails {dict(told)}, expected {sorted(occasions)}"


def nothing_is_set_aside(books: Books, figures: Figures) -> Iterator[str]:
    """No message waits for another attempt, and none is a dead letter."""
    figures["parked"] = len(books.parked)
    yield from books.parked


def logs_have_no_gaps(books: Books, figures: Figures) -> Iterator[str]:
    """In every module's log each position follows the one before it; old ones may have been pruned."""
    for module, entries in groupby(books.log, attrgetter("module")):
        positions = [entry.position for entry in entries]
        figures[module] = f"{positions[0]} to {positions[-1]}"
        for before, after in pairwise(positions):
            if after != before + 1:
                yield f"log of {module}: {after} follows {before}"


def no_order_is_there_twice(books: Books, figures: Figures) -> Iterator[str]:
    """Each order was announced once, by a request of its own, ended once, and is what was announced."""
    announced = Counter(entry.key for entry in books.log if entry.type == "OrderPlaced")
    requests = Counter(entry.causation_id for entry in books.log if entry.type == "OrderPlaced")
    ended = Counter(entry.key for entry in books.log if entry.type in ("OrderConfirmed", "OrderCancelled"))
    figures["placed"], figures["requests"], figures["ended"] = announced.total(), len(requests), ended.total()
    for what, counts in (("announced", announced), ("ended", ended)):
        yield from (f"order {order_id} {what} {count} times" for order_id, count in counts.items() if count > 1)
    yield from (f"request {request} placed {count} orders" for request, count in requests.items() if count > 1)
    kept = {order.order_id: order.total for order in books.orders}
    if len(kept) != len(books.orders):
        yield "orders has an order id twice"
    for event in books.placed_events:
        if kept.get(event.order_id) != event.total:
            yield f"order {event.order_id} was announced over {event.total}, orders has {kept.get(event.order_id)}"


INVARIANTS: dict[str, Callable[[Books, Figures], Iterator[str]]] = {
    "every order is confirmed, or cancelled with a reason": every_order_has_ended,
    "every total is exact": totals_are_exact,
    "stock received = left + shipped": stock_adds_up,
    "shipped is what was ordered and confirmed": stock_was_shipped_as_ordered,
    "one invoice over the exact total for each confirmed order": one_invoice_over_the_exact_total,
    "one shipment for each confirmed order": one_shipment_each,
    "charged is what was confirmed": money_follows_the_order,
    "each customer told once on each occasion": customers_were_told_once,
    "nothing is parked": nothing_is_set_aside,
    "logs have no gaps": logs_have_no_gaps,
    "no order is there twice": no_order_is_there_twice,
}
"""By the name it is reported under."""


def _units_of(order: OrderEntry) -> int:
    return sum(line.quantity for line in order.lines)


def _shown(amounts: list[Money]) -> str:
    return " and ".join(str(amount) for amount in amounts) or "nothing"
