"""Amounts of money: exact, in one currency, never a float."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from fractions import Fraction
from typing import TYPE_CHECKING, overload

import msgspec

from insula.kernel.currencies import MINOR_DIGITS
from insula.kernel.errors import InsulaError

# Wider than Python's default of 28 digits, so that no sum is rounded unasked; an amount of more digits is refused.
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_EXACT = Context(prec=38, rounding=ROUND_HALF_EVEN)
_UNITS = {code: Decimal(1).scaleb(-digits) for code, digits in MINOR_DIGITS.items()}


class MoneyError(InsulaError, ValueError):
    """The amount or the currency is none, or the amount has digits below the currency's minor unit."""


class CurrencyMismatch(MoneyError):
    """Two currencies met in one sum or comparison."""


class Money(msgspec.Struct, frozen=True):
    """An amount in a currency, held to exactly the digits of the currency's minor unit (ISO 4217).

    Parameters: `amount`, a Decimal, int or text such as "12.50"; `currency`, a code such as "EUR".
    Raises MoneyError for an unknown currency, a float, or digits below the minor unit (see `Money.rounded`).
    In JSON: {"amount": "12.50", "currency": "EUR"}.
    """

    amount: Decimal
    currency: str

    if TYPE_CHECKING:

        def __init__(self, amount: Decimal | int | str, currency: str) -> None: ...

    def __post_init__(self) -> None:
        given = _decimal(self.amount)
        exact = _quantized(given, self.currency)
        if exact != given:
            raise MoneyError(f"{given} {self.currency}: too many digits for this currency; see Money.rounded")
        msgspec.structs.force_setattr(self, "amount", exact)

    @classmethod
    def zero(cls, currency: str) -> Money:
        """No money, in that currency."""
        return cls(0, currency)

    @classmethod
    def of_minor(cls, minor: int, currency: str) -> Money:
        """From a whole number of minor units: 1250 and "EUR" are 12.50 EUR."""
        _unit(currency)
        return cls(Decimal(minor).scaleb(-MINOR_DIGITS[currency], _EXACT), currency)

    @classmethod
    def rounded(cls, amount: Decimal | int | str, currency: str) -> Money:
        """From an amount with any number of digits, rounded half to even."""
        return cls(_quantized(_decimal(amount), currency), currency)

    @classmethod
    def total(cls, amounts: Iterable[Money], currency: str) -> Money:
        """The sum, zero of nothing. Raises CurrencyMismatch if one has another currency."""
        total = cls.zero(currency)
        for amount in amounts:
            total += amount
        return total

    @property
    def minor(self) -> int:
        """The amount as a whole number of minor units."""
        return int(self.amount.scaleb(MINOR_DIGITS[self.currency], _EXACT))

    def allocate(self, ratios: Sequence[int | Decimal]) -> tuple[Money, ...]:
        """Split by ratios without losing a cent; each share is within one minor unit of the exact one.

        What is left after rounding down goes, a unit each, to the largest remainders, the earlier share first.
        Raises MoneyError for a negative ratio, or none above zero.
        """
        weights = [_fraction(ratio) for ratio in ratios]
        whole = sum(weights)
        if not whole or min(weights) < 0:
            raise MoneyError(f"allocate: among {list(ratios)} none may be negative and one must be above zero")
        minor = abs(self.minor)
        exact = [minor * weight / whole for weight in weights]
        shares = [int(share) for share in exact]
        neediest_first = sorted(range(len(exact)), key=lambda index: shares[index] - exact[index])
        for index in neediest_first[: minor - sum(shares)]:
            shares[index] += 1
        sign = -1 if self.amount < 0 else 1
        return tuple(Money.of_minor(sign * share, self.currency) for share in shares)

    def __add__(self, other: Money) -> Money:
        if not isinstance(other, Money):
            return NotImplemented
        return Money(_EXACT.add(self.amount, self._alike(other)), self.currency)

    def __sub__(self, other: Money) -> Money:
        if not isinstance(other, Money):
            return NotImplemented
        return Money(_EXACT.subtract(self.amount, self._alike(other)), self.currency)

    def __neg__(self) -> Money:
        return Money(self.amount.copy_negate(), self.currency)

    def __abs__(self) -> Money:
        return Money(self.amount.copy_abs(), self.currency)

    def __mul__(self, factor: int | Decimal) -> Money:
        """So many times the amount, rounded half to even."""
        if isinstance(factor, Money):
            return NotImplemented
        return Money.of_minor(round(self.minor * _fraction(factor)), self.currency)

    __rmul__ = __mul__

    @overload
    def __truediv__(self, other: Money) -> Decimal: ...
    @overload
    def __truediv__(self, other: int | Decimal) -> Money: ...
    def __truediv__(self, other: Money | int | Decimal) -> Money | Decimal:
        """By a number: that part, rounded half to even. By money: the ratio of the two amounts."""
        if isinstance(other, Money):
            divisor = self._alike(other)
            if not divisor:
                raise ZeroDivisionError(f"{self} / {other}")
            return _EXACT.divide(self.amount, divisor)
        return Money.of_minor(round(self.minor / _fraction(other)), self.currency)

    def __lt__(self, other: Money) -> bool:
        return self.amount < self._alike(other) if isinstance(other, Money) else NotImplemented

    def __le__(self, other: Money) -> bool:
        return self.amount <= self._alike(other) if isinstance(other, Money) else NotImplemented

    def __gt__(self, other: Money) -> bool:
        return self.amount > self._alike(other) if isinstance(other, Money) else NotImplemented

    def __ge__(self, other: Money) -> bool:
        return self.amount >= self._alike(other) if isinstance(other, Money) else NotImplemented

    def __bool__(self) -> bool:
        return bool(self.amount)

    def __str__(self) -> str:
        return f"{self.amount} {self.currency}"

    def __repr__(self) -> str:
        return f'Money("{self.amount}", "{self.currency}")'

    def _alike(self, other: Money) -> Decimal:
        if other.currency != self.currency:
            raise CurrencyMismatch(f"{self} and {other} have different currencies; convert one of them first")
        return other.amount


def _unit(currency: str) -> Decimal:
    try:
        return _UNITS[currency]
    except (KeyError, TypeError):
        raise MoneyError(f"{currency!r} is no currency code of ISO 4217") from None


def _decimal(value: object) -> Decimal:
    # bool is an int to Python and a mistake here; a float has already lost the cents it pretends to have.
    if isinstance(value, bool) or not isinstance(value, (Decimal, int, str)):
        raise MoneyError(f"{value!r} is {type(value).__name__}; give a Decimal, an int or text")
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise MoneyError(f"{value!r} is no decimal number") from None
    if not number.is_finite():
        raise MoneyError(f"{value!r} is not finite")
    # Decimal itself also reads blanks, underscores and the digits of every script.
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        raise MoneyError(f"{value!r} is no decimal number")
    return number


def _quantized(number: Decimal, currency: str) -> Decimal:
    unit = _unit(currency)
    try:
        exact = number.quantize(unit, context=_EXACT)
    except InvalidOperation:
        raise MoneyError(f"{number} {currency} has more than {_EXACT.prec} digits") from None
    return exact or unit * 0  # zero has no sign


def _fraction(value: int | Decimal) -> Fraction:
    if isinstance(value, bool) or not isinstance(value, (Decimal, int)):
        raise TypeError(f"{value!r} is {type(value).__name__}; money is multiplied and divided by int or Decimal")
    return Fraction(value)
