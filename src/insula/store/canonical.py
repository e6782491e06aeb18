"""One spelling for a value, whichever database gives it back, and checksums that do not ask for an order of rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from insula.kernel.errors import Failure

_DIGEST_BYTES = 16
_MODULUS = 1 << (8 * _DIGEST_BYTES)


class NotComparable(Failure):
    """A value of a class that has no canonical spelling."""


def canonical(value: Any) -> bytes:
    """The spelling of a value: equal for values that are equal to a program, different for all others.

    Decimals lose trailing zeros, moments with a zone are told in UTC, mappings are sorted, minus zero is zero.
    Raises `NotComparable` for a class it does not know.
    """
    for kind, spell in _SPELLINGS:
        if isinstance(value, kind):
            return spell(value)
    if value is None:
        return b"n"
    raise NotComparable(
        f"values of {type(value).__name__} cannot be compared; give the column one of SQLAlchemy's own types"
    )


def _decimal(value: Decimal) -> bytes:
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        return f"d{value}".encode()
    text = "".join(map(str, digits)).lstrip("0")
    shortened = text.rstrip("0")
    exponent += len(text) - len(shortened)
    return f"d{'-' if sign and shortened else ''}{shortened or 0}e{exponent if shortened else 0}".encode()


def _moment(value: datetime) -> bytes:
    if value.tzinfo is None:
        return b"m" + value.isoformat(timespec="microseconds").encode()
    return b"z" + value.astimezone(UTC).isoformat(timespec="microseconds").encode()


def _sequence(value: Sequence[Any]) -> bytes:
    return b"l" + b"".join(_framed(canonical(each)) for each in value)


def _mapping(value: Mapping[Any, Any]) -> bytes:
    items = sorted((canonical(name), canonical(each)) for name, each in value.items())
    return b"o" + b"".join(_framed(name) + _framed(each) for name, each in items)


# In this order: a bool is an int, a datetime a date, and an enumeration may be text.
_SPELLINGS: Sequence[tuple[type | tuple[type, ...], Callable[[Any], bytes]]] = (
    (Enum, lambda value: b"e" + value.name.encode()),
    (bool, lambda value: b"b1" if value else b"b0"),
    (str, lambda value: b"s" + value.encode("utf-8", "surrogatepass")),
    (int, lambda value: b"i%d" % value),
    (float, lambda value: b"f" + (value + 0.0).hex().encode()),
    (Decimal, _decimal),
    (datetime, _moment),
    (date, lambda value: b"t" + value.isoformat().encode()),
    (time, lambda value: b"c" + value.isoformat(timespec="microseconds").encode()),
    (timedelta, lambda value: b"p%d" % (value // timedelta(microseconds=1))),
    (UUID, lambda value: b"u" + value.bytes),
    ((bytes, bytearray, memoryview), lambda value: b"y" + bytes(value)),
    (Mapping, _mapping),
    ((list, tuple), _sequence),
)


def _framed(spelling: bytes) -> bytes:
    return len(spelling).to_bytes(8, "big") + spelling


def digest_of(values: Iterable[Any]) -> int:
    """A number that two rows share only when their values have the same spellings, in the same places."""
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    for value in values:
        digest.update(_framed(canonical(value)))
    return int.from_bytes(digest.digest(), "big")


@dataclass(frozen=True, slots=True)
class Checksum:
    """How many rows there are, and the sum of their digests: the same in whatever order they come."""

    rows: int = 0
    total: int = 0

    def plus(self, rows: Iterable[Iterable[Any]]) -> Checksum:
        """With these rows too."""
        digests = [digest_of(row) for row in rows]
        return Checksum(self.rows + len(digests), (self.total + sum(digests)) % _MODULUS)

    def __str__(self) -> str:
        return f"{self.rows} rows, {self.total:032x}"


def spelled_key(values: Sequence[Any]) -> str:
    """A key as it may be shown to a person."""
    return json.dumps([value if isinstance(value, (str, int, float)) else str(value) for value in values])
