from __future__ import annotations

import dataclasses
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Annotated, Any, Literal, NamedTuple, NewType
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from insula.kernel.errors import Rejection
from insula.kernel.money import Money
from insula.messages import (
    Command,
    Event,
    FrozenMap,
    MessageInvalid,
    Query,
    UnknownRejection,
    decode,
    decode_rejection,
    decoder,
    encode,
    encode_rejection,
)
from insula.messages.codec import convert

Sku = NewType("Sku", str)


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Size(IntEnum):
    SMALL = 1
    LARGE = 2


class Line(msgspec.Struct, frozen=True):
    sku: Sku
    price: Money


@dataclasses.dataclass(frozen=True)
class Point:
    x: int
    y: float


class Span(NamedTuple):
    first: date
    last: date


class Cash(msgspec.Struct, frozen=True, tag=True):
    amount: Money


class Card(msgspec.Struct, frozen=True, tag=True):
    number: str


class Everything(Event):
    nothing: None
    flag: bool
    whole: int
    real: float
    text: str
    raw: bytes
    moment: datetime
    day: date
    hour: time
    span: timedelta
    exact: Decimal
    identity: UUID
    colour: Colour
    size: Size
    choice: Literal["a", "b", 3]
    sku: Sku
    bounded: Annotated[int, msgspec.Meta(ge=0)]
    maybe: str | None
    either: int | str
    pair: tuple[int, str]
    several: tuple[Decimal, ...]
    unique: frozenset[int]
    line: Line
    point: Point
    days: Span
    paid: Cash | Card
    prices: FrozenMap[str, Money]
    nested: FrozenMap[int, FrozenMap[str, tuple[Line, ...]]]
    counted: FrozenMap[date, bytes]
    maybe_map: FrozenMap[UUID, Decimal] | None


class PlaceOrder(Command[None]):
    customer: str
    euros: int
    lines: tuple[Line, ...] = ()
    prices: FrozenMap[str, Money] = FrozenMap()


WHOLE_MINUTES = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
DECIMALS = st.decimals(allow_nan=False, allow_infinity=False)
MONEY = st.builds(Money.of_minor, st.integers(-(10**12), 10**12), st.sampled_from(["EUR", "JPY", "KWD"]))
LINES = st.builds(Line, TEXT.map(Sku), MONEY)
INTEGERS = st.integers(-(2**63), 2**64 - 1)


def maps(keys: st.SearchStrategy[Any], values: st.SearchStrategy[Any]) -> st.SearchStrategy[FrozenMap[Any, Any]]:
    return st.dictionaries(keys, values, max_size=3).map(FrozenMap)


EVERYTHING = st.builds(
    Everything,
    nothing=st.none(),
    flag=st.booleans(),
    whole=INTEGERS,
    real=st.floats(allow_nan=False, allow_infinity=False),
    text=TEXT,
    raw=st.binary(),
    moment=st.datetimes(timezones=st.just(UTC) | WHOLE_MINUTES),
    day=st.dates(),
    hour=st.times(),
    span=st.timedeltas(),
    exact=DECIMALS,
    identity=st.uuids(),
    colour=st.sampled_from(Colour),
    size=st.sampled_from(Size),
    choice=st.sampled_from(["a", "b", 3]),
    sku=TEXT.map(Sku),
    bounded=st.integers(0, 2**63),
    maybe=st.none() | TEXT,
    either=INTEGERS | TEXT,
    pair=st.tuples(INTEGERS, TEXT),
    several=st.lists(DECIMALS, max_size=3).map(tuple),
    unique=st.frozensets(INTEGERS, max_size=3),
    line=LINES,
    point=st.builds(Point, INTEGERS, st.floats(allow_nan=False, allow_infinity=False)),
    days=st.builds(Span, st.dates(), st.dates()),
    paid=st.builds(Cash, MONEY) | st.builds(Card, TEXT),
    prices=maps(TEXT, MONEY),
    nested=maps(st.integers(-(2**63), 2**63 - 1), maps(TEXT, st.lists(LINES, max_size=2).map(tuple))),
    counted=maps(st.dates(), st.binary()),
    maybe_map=st.none() | maps(st.uuids(), DECIMALS),
)


@given(EVERYTHING)
def test_a_message_with_every_immutable_kind_of_field_comes_back_as_it_was(message: Everything) -> None:
    data = encode(message)
    back = decoder(Everything)(data)
    assert back == message
    assert {field: type(getattr(back, field)) for field in back.__struct_fields__} == {
        field: type(getattr(message, field)) for field in message.__struct_fields__
    }
