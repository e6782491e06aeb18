"""The audit finds nothing in honest books, and each kind of lie in false ones."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from insula import Money
from insula.kernel import ConfigurationError
from insula.runtime.inspection import Inspection
from insula.testing import Scenario
from shop.audit.books import Books, read_books
from shop.audit.invariants import INVARIANTS, audit
from shop.orders.contract import CancelOrder, Line, PlaceOrder
from shop.system import shop


async def honest_books(given: Any) -> Books:
    """Books of a shop with a confirmed, a refused, a declined and a cancelled order."""
    async with Scenario(shop) as scenario:
        await given.a_shop(scenario, units=600)
        for quantity in (4, 1000, 500):
            await scenario.call(PlaceOrder(customer_id="ann", lines=(Line(product_id="tea", quantity=quantity),)))
        unwanted = await scenario.call(PlaceOrder(customer_id="ann", lines=(Line(product_id="tea", quantity=1),)))
        await scenario.call(CancelOrder(order_id=unwanted))
        await scenario.settle()
        with Inspection(shop, directory=Path(scenario._folder.name)) as data:
            return read_books(data)


def violated(books: Books) -> set[str]:
    return {finding.invariant for finding in audit(books) if not finding.holds}


@pytest.fixture(scope="module")
def books(given: Any) -> Books:
    return asyncio.run(honest_books(given))


def test_honest_books_hold(books: Books) -> None:
    findings = audit(books)
    assert [finding.violations for finding in findings] == [()] * len(INVARIANTS)
    figures = {finding.invariant: finding.figures for finding in findings}
    assert figures["every order is confirmed, or cancelled with a reason"] == {
        "orders": 4,
        "cancelled": 3,
        "confirmed": 1,
        "cancelled by customer": 1,
        "out of stock": 1,
        "payment declined": 1,
    }
    stock = {"received": 600, "available": 596, "reserved": 0, "shipped": 4, "products": 1}
    assert figures["stock received = left + shipped"] == stock


FOUR_EUROS = Money("4.00", "EUR")
LIES: dict[str, tuple[Callable[[Books], Books], str]] = {
    "pending": (
        lambda books: replace(books, orders=(replace(books.orders[1], status="pending"), *books.orders[2:])),
        "every order is confirmed, or cancelled with a reason",
    ),
    "no reason": (
        lambda books: replace(books, orders=(books.orders[0], replace(books.orders[1], reason=None))),
        "every order is confirmed, or cancelled with a reason",
    ),
    "total": (
        lambda books: replace(books, orders=(replace(books.orders[0], total=FOUR_EUROS), *books.orders[1:])),
        "every total is exact",
    ),
    "lost stock": (
        lambda books: replace(books, stock=(replace(books.stock[0], available=595),)),
        "stock received = left + shipped",
    ),
    "still reserved": (
        lambda books: replace(books, stock=(replace(books.stock[0], available=595, reserved=1),)),
        "stock received = left + shipped",
    ),
    "shipped another quantity": (
        lambda books: replace(books, reserved_units={order_id: {"tea": 3} for order_id in books.reserved_units}),
        "shipped is what was ordered and confirmed",
    ),
    "no invoice": (
        lambda books: replace(books, invoices=()),
        "one invoice over the exact total for each confirmed order",
    ),
    "two invoices": (
        lambda books: replace(books, invoices=books.invoices * 2),
        "one invoice over the exact total for each confirmed order",
    ),
    "invoice over another amount": (
        lambda books: replace(books, invoices=((books.invoices[0][0], FOUR_EUROS),)),
        "one invoice over the exact total for each confirmed order",
    ),
    "invoice for a cancelled order": (
        lambda books: replace(books, invoices=(*books.invoices, (books.orders[1].order_id, FOUR_EUROS))),
        "one invoice over the exact total for each confirmed order",
    ),
    "no shipment": (lambda books: replace(books, shipments=()), "one shipment for each confirmed order"),
    "charge kept": (
        lambda books: replace(
            books, payments={id_: replace(payment, status="charged") for id_, payment in books.payments.items()}
        ),
        "charged is what was confirmed",
    ),
    "told twice": (
        lambda books: replace(books, mails={id_: Counter({**told, "shipped": 2}) for id_, told in books.mails.items()}),
        "each customer told once on each occasion",
    ),
    "parked": (lambda books: replace(books, parked=("orders.confirm_order: dead",)), "nothing is parked"),
    "gap": (lambda books: replace(books, log=(books.log[0], *books.log[2:])), "logs have no gaps"),
    "one request, two orders": (
        lambda books: replace(
            books,
            log=tuple(replace(each, causation_id="one") if each.type == "OrderPlaced" else each for each in books.log),
        ),
        "no order is there twice",
    ),
    "order lost after its announcement": (
        lambda books: replace(books, orders=books.orders[:-1]),
        "no order is there twice",
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_false_books_are_found_out(books: Books, lie: str) -> None:
    falsify, invariant = LIES[lie]
    assert invariant in violated(falsify(books))


def test_there_is_nothing_to_audit_where_no_shop_ran(tmp_path: Path) -> None:
    with Inspection(shop, directory=tmp_path) as data, pytest.raises(ConfigurationError, match="no such file"):
        read_books(data)
