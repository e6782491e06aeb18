"""An order and its lines, without anything around them."""

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as some

from insula import Money
from shop.orders.contract import (
    CancellationReason,
    InvalidOrder,
    Line,
    OrderAlreadyConfirmed,
    OrderStatus,
    UnknownProduct,
)
from shop.orders.domain import Order, price_line

PRICES = {"tea": Money("12.50", "EUR"), "figs": Money("0.35", "EUR"), "rye": Money("20.00", "USD")}


def an_order(given: Any, *lines: Line) -> Order:
    return Order.place(
        given.order_id,
        customer_id=given.customer_id,
        lines=lines,
        prices=PRICES,
        ship_to=given.address,
        placed_at=given.noon,
    )


def test_four_times_twelve_fifty_are_fifty(given: Any) -> None:
    order = an_order(given, Line(product_id="tea", quantity=4))
    assert order.total == Money("50.00", "EUR")
    assert order.status is OrderStatus.PENDING


@pytest.mark.parametrize(
    ("price", "quantity", "discount", "total"),
    [
        ("14.00", 12, "0", "168.00"),
        ("16.80", 6, "0.05", "95.76"),
        ("0.35", 1, "0.1", "0.32"),  # 0.315: half to even, up to 2
        ("0.25", 1, "0.1", "0.22"),  # 0.225: half to even, down to 2
        ("7.45", 7, "0.15", "44.33"),
        ("263.50", 49, "0.25", "9683.62"),  # 9683.625
    ],
)
def test_a_line_is_rounded_once_half_to_even(price: str, quantity: int, discount: str, total: str) -> None:
    line = Line(product_id="tea", quantity=quantity, discount=Decimal(discount))
    assert price_line(line, Money(price, "USD")).total == Money(total, "USD")


@for_all(
    cents=some.integers(0, 1_000_000),
    quantity=some.integers(1, 100_000),
    discount=some.sampled_from(["0", "0.05", "0.1", "0.15", "0.2", "0.25", "0.3333"]),
)
def test_a_line_is_exact_to_the_cent(cents: int, quantity: int, discount: str) -> None:
    line = Line(product_id="tea", quantity=quantity, discount=Decimal(discount))
    exact = Decimal(cents) * quantity * (10_000 - int(Decimal(discount) * 10_000)) / 10_000
    assert price_line(line, Money.of_minor(cents, "EUR")).total.minor == exact.quantize(Decimal(1), ROUND_HALF_EVEN)


def test_lines_are_rounded_before_they_are_added(given: Any) -> None:
    tenth = Decimal("0.1")
    lines = [Line(product_id="figs", quantity=1, discount=tenth) for _ in range(3)]
    assert an_order(given, *lines).total == Money("0.96", "EUR")  # and not 0.94 or 0.95


def test_an_unknown_product_is_named(given: Any) -> None:
    with pytest.raises(UnknownProduct) as no:
        an_order(given, Line(product_id="tea", quantity=1), Line(product_id="herring", quantity=1))
    assert no.value.product_id == "herring"


def test_an_order_is_in_one_currency(given: Any) -> None:
    with pytest.raises(InvalidOrder, match="EUR and USD"):
        an_order(given, Line(product_id="tea", quantity=1), Line(product_id="rye", quantity=1))


def test_an_order_without_lines_is_none(given: Any) -> None:
    with pytest.raises(InvalidOrder):
        an_order(given)


def test_a_cancelled_order_stays_cancelled_for_its_first_reason(given: Any) -> None:
    cancelled = an_order(given, Line(product_id="tea", quantity=1)).cancel(CancellationReason.OUT_OF_STOCK, "no tea")
    assert (cancelled.status, cancelled.detail) == (OrderStatus.CANCELLED, "no tea")
    assert cancelled.cancel(CancellationReason.BY_CUSTOMER) is cancelled
    assert cancelled.confirm() is cancelled


def test_a_confirmed_order_is_not_cancelled(given: Any) -> None:
    confirmed = an_order(given, Line(product_id="tea", quantity=1)).confirm()
    assert confirmed.status is OrderStatus.CONFIRMED
    assert confirmed.confirm() is confirmed
    with pytest.raises(OrderAlreadyConfirmed):
        confirmed.cancel(CancellationReason.BY_CUSTOMER)
