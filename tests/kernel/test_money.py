from __future__ import annotations

import operator
from collections.abc import Callable
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from insula.kernel.currencies import MINOR_DIGITS
from insula.kernel.money import CurrencyMismatch, Money, MoneyError

MINOR = st.integers(min_value=-(10**15), max_value=10**15)
CURRENCY = st.sampled_from(["EUR", "USD", "JPY", "KWD", "CLF"])
MONEY = st.builds(Money.of_minor, MINOR, CURRENCY)
EUROS = st.builds(Money.of_minor, MINOR, st.just("EUR"))
NUMBER = st.decimals(min_value=-1000, max_value=1000, places=6)
RATIOS = st.lists(st.one_of(st.integers(0, 1000), st.decimals(0, 100, places=3)), min_size=1, max_size=12).filter(any)


def test_three_times_ten_dollars_is_thirty_dollars() -> None:
    assert str(3 * Money("10.00", "USD")) == "30.00 USD"


def test_dollars_and_euros_do_not_add_up() -> None:
    with pytest.raises(CurrencyMismatch, match=r"1\.00 USD and 2\.00 EUR"):
        Money(1, "USD") + Money(2, "EUR")


@pytest.mark.parametrize(
    "compare", [operator.lt, operator.le, operator.gt, operator.ge, operator.sub, operator.truediv]
)
def test_two_currencies_cannot_be_compared(compare: Callable[[Any, Any], Any]) -> None:
    with pytest.raises(CurrencyMismatch):
        compare(Money(1, "USD"), Money(2, "EUR"))
    assert Money(1, "USD") != Money(1, "EUR")


@pytest.mark.parametrize(
    ("amount", "currency", "shown", "minor"),
    [
        ("12.5", "EUR", "12.50 EUR", 1250),
        (12, "EUR", "12.00 EUR", 1200),
        (Decimal("12.500"), "EUR", "12.50 EUR", 1250),
        ("1200", "JPY", "1200 JPY", 1200),
        ("1.234", "KWD", "1.234 KWD", 1234),
        ("1.2345", "CLF", "1.2345 CLF", 12345),
        ("-0.00", "EUR", "0.00 EUR", 0),
        ("1E+3", "EUR", "1000.00 EUR", 100000),
    ],
)
def test_an_amount_has_exactly_the_digits_of_its_currency(
    amount: Decimal | int | str, currency: str, shown: str, minor: int
) -> None:
    money = Money(amount, currency)
    assert str(money) == shown
    assert money.minor == minor
    assert money == Money.of_minor(minor, currency)
    assert repr(money) == f'Money("{money.amount}", "{currency}")'


@pytest.mark.parametrize(
    ("amount", "currency", "complaint"),
    [
        ("12.505", "EUR", "too many digits"),
        ("0.5", "JPY", "too many digits"),
        (12.5, "EUR", "12.5 is float"),
        (True, "EUR", "True is bool"),
        (None, "EUR", "None is NoneType"),
        ("twelve", "EUR", "no decimal number"),
        ("NaN", "EUR", "not finite"),
        ("Infinity", "EUR", "not finite"),
        ("1E+40", "EUR", "more than 38 digits"),
        ("1E+999999999", "EUR", "more than 38 digits"),
        ("1", "EURO", "'EURO' is no currency code"),
        ("1", "eur", "'eur' is no currency code"),
        ("1", "XAU", "'XAU' is no currency code"),
        ("1", None, "None is no currency code"),
        ("1", [], "is no currency code"),
    ],
)
def test_what_is_no_money_is_refused_with_the_reason(amount: Any, currency: Any, complaint: str) -> None:
    with pytest.raises(MoneyError) as caught:
        Money(amount, currency)
    assert complaint in str(caught.value)


def test_digits_are_dropped_only_on_request_and_half_to_even() -> None:
    assert [str(Money.rounded(text, "EUR").amount) for text in ("0.125", "0.135", "-0.125", "0.1251")] == [
        "0.12",
        "0.14",
        "-0.12",
        "0.13",
    ]


@pytest.mark.parametrize("operation", [operator.add, operator.sub, operator.lt, operator.ge])
def test_money_and_numbers_do_not_mix(operation: Callable[[Any, Any], Any]) -> None:
    with pytest.raises(TypeError):
        operation(Money(1, "EUR"), 1)


@pytest.mark.parametrize("factor", [1.5, "2", True, None, Money(2, "EUR")])
def test_money_is_multiplied_only_by_exact_numbers(factor: Any) -> None:
    with pytest.raises(TypeError):
        Money(1, "EUR") * factor


@pytest.mark.parametrize("divisor", [0, Decimal(0), Money(0, "EUR")])
def test_nothing_is_divided_by_zero(divisor: Any) -> None:
    with pytest.raises(ZeroDivisionError):
        Money(1, "EUR") / divisor


def test_an_empty_total_is_zero_of_its_currency() -> None:
    assert Money.total([], "EUR") == Money.zero("EUR")
    assert not Money.zero("EUR")
    with pytest.raises(CurrencyMismatch):
        Money.total([Money(1, "USD")], "EUR")


def test_money_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Money(1, "EUR").amount = Decimal(2)  # type: ignore[misc]


def test_a_sum_too_large_to_be_exact_is_refused() -> None:
    most = Money.of_minor(10**38 - 1, "EUR")
    with pytest.raises(MoneyError, match="more than 38 digits"):
        most + most


@given(EUROS, EUROS, EUROS)
def test_addition_is_exact_in_any_order(a: Money, b: Money, c: Money) -> None:
    assert (a + b) + c == a + (b + c) == Money.total([c, b, a], "EUR")
    assert (a + b).minor == a.minor + b.minor
    assert a + b - b == a
    assert a - b == -(b - a)


@given(EUROS, EUROS)
def test_order_is_that_of_the_minor_units(a: Money, b: Money) -> None:
    assert (a < b, a <= b, a > b, a >= b, a == b) == (
        a.minor < b.minor,
        a.minor <= b.minor,
        a.minor > b.minor,
        a.minor >= b.minor,
        a.minor == b.minor,
    )


@given(MONEY)
def test_equal_money_hashes_alike_and_its_size_has_no_sign(money: Money) -> None:
    assert hash(money) == hash(Money.of_minor(money.minor, money.currency))
    assert abs(money).minor == abs(money.minor)
    assert bool(money) == (money.minor != 0)


@given(MONEY, NUMBER)
def test_a_product_is_the_exact_one_rounded_once_half_to_even(money: Money, factor: Decimal) -> None:
    exact = money.minor * Fraction(factor)
    assert (money * factor).minor == round(exact)
    assert money * factor == factor * money


@given(MONEY, NUMBER.filter(bool))
def test_a_part_is_the_exact_one_rounded_once_half_to_even(money: Money, divisor: Decimal) -> None:
    assert (money / divisor).minor == round(money.minor / Fraction(divisor))


@given(EUROS, EUROS.filter(bool))
def test_money_by_money_is_their_ratio(a: Money, b: Money) -> None:
    assert abs(Fraction(a / b) - Fraction(a.minor, b.minor)) <= abs(Fraction(a.minor, b.minor)) / 10**30


@given(EUROS, EUROS)
def test_the_callers_decimal_precision_changes_nothing(a: Money, b: Money) -> None:
    with localcontext() as context:
        context.prec = 2
        total, product = a + b, a * Decimal("1.0005")
    assert total == a + b
    assert product == a * Decimal("1.0005")


@given(MONEY, RATIOS)
def test_an_allocation_loses_no_cent_and_is_fair(money: Money, ratios: list[int | Decimal]) -> None:
    shares = money.allocate(ratios)
    whole = sum(Fraction(ratio) for ratio in ratios)
    assert Money.total(shares, money.currency) == money
    for share, ratio in zip(shares, ratios, strict=True):
        assert abs(share.minor - money.minor * Fraction(ratio) / whole) < 1
        assert ratio or not share


def test_the_odd_cent_goes_to_the_first_of_equals() -> None:
    assert [str(share.amount) for share in Money("10.00", "EUR").allocate([1, 1, 1])] == ["3.34", "3.33", "3.33"]
    assert [str(share.amount) for share in Money("-0.05", "EUR").allocate([3, 7])] == ["-0.02", "-0.03"]


@pytest.mark.parametrize("ratios", [[], [0], [0, 0], [1, -1], [2, -1]])
def test_an_allocation_needs_something_to_go_by(ratios: list[int | Decimal]) -> None:
    with pytest.raises(MoneyError, match="allocate"):
        Money(1, "EUR").allocate(ratios)


@given(MONEY)
def test_money_crosses_the_wire_unchanged(money: Money) -> None:
    assert msgspec.json.decode(msgspec.json.encode(money), type=Money) == money


def test_money_has_a_plain_form_in_json() -> None:
    assert msgspec.json.encode(Money("12.5", "EUR")) == b'{"amount":"12.50","currency":"EUR"}'


@pytest.mark.parametrize("amount", ['"12.505"', '"NaN"', '"x"', "null", "true"])
def test_bad_money_in_json_is_refused_by_the_codec(amount: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(f'{{"amount":{amount},"currency":"EUR"}}', type=Money)


def test_every_currency_code_has_three_capitals_and_a_known_number_of_digits() -> None:
    assert all(len(code) == 3 and code.isascii() and code.isupper() for code in MINOR_DIGITS)
    assert set(MINOR_DIGITS.values()) == {0, 2, 3, 4}
    assert {code: MINOR_DIGITS[code] for code in ("EUR", "JPY", "BHD", "UYW")} == {
        "EUR": 2,
        "JPY": 0,
        "BHD": 3,
        "UYW": 4,
    }
