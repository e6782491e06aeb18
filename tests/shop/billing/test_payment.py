"""A payment's facts and what follows from them, without anything around them."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as some

from insula import Money
from shop.billing.domain import Charge, Payment, PaymentStatus, Refund, Void, is_overdue

FIFTY = Money("50.00", "EUR")
FACTS: dict[str, Callable[[Payment], Payment]] = {
    "placed": lambda payment: payment.placed("ann", FIFTY),
    "reserved": Payment.reserved,
    "cancelled": Payment.cancelled,
}


def after(*facts: str) -> Payment:
    payment = Payment(order_id="order-1")
    for fact in facts:
        payment = FACTS[fact](payment)
    return payment


def test_nothing_is_charged_before_price_and_stock_are_known() -> None:
    assert after().next_step() is None
    assert after("placed").next_step() is None
    assert after("reserved").next_step() is None
    assert after("placed", "cancelled").next_step() is None


def test_an_order_is_charged_once() -> None:
    due = after("reserved", "placed")
    assert due.next_step() == Charge("ann", FIFTY)
    assert due.charged("key").next_step() is None
    assert due.declined().next_step() is None


def test_what_was_charged_is_given_back_once() -> None:
    charged = after("placed", "reserved").charged("key").cancelled()
    assert charged.next_step() == Refund("ann", FIFTY, "key")
    assert charged.reversed().next_step() is None


def test_what_an_attempt_may_have_charged_is_voided() -> None:
    assert after("placed", "cancelled", "reserved").next_step() == Void()


@for_all(some.permutations(["placed", "reserved"]), some.integers(0, 2), some.booleans(), some.booleans())
def test_in_any_order_money_is_kept_only_for_an_order_that_stands(
    facts: list[str], cancelled_at: int, cancelled: bool, solvent: bool
) -> None:
    if cancelled:
        facts = [*facts[:cancelled_at], "cancelled", *facts[cancelled_at:]]
    payment, kept, charges = Payment(order_id="order-1"), 0, 0
    for fact in facts:
        payment = FACTS[fact](payment)
        match payment.next_step():
            case Charge():
                charges += 1
                kept += solvent
                payment = payment.charged("key") if solvent else payment.declined()
            case Refund():
                kept -= 1
                payment = payment.reversed()
            case Void():
                payment = payment.reversed()
    assert kept == (solvent and not cancelled)
    assert charges <= 1
    assert (payment.status is PaymentStatus.CHARGED) == (kept == 1)


@pytest.mark.parametrize(("days", "overdue"), [(0, False), (30, False), (31, True), (35, True)])
def test_an_unpaid_invoice_is_overdue_after_thirty_days(given: Any, days: int, overdue: bool) -> None:
    now = given.noon + timedelta(days=days)
    assert is_overdue(issued_at=given.noon, paid_at=None, now=now) is overdue
    assert not is_overdue(issued_at=given.noon, paid_at=given.noon, now=now)
