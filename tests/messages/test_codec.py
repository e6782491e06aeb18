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


@pytest.mark.parametrize(
    ("data", "path", "reason"),
    [
        (b'{"customer": "ann", "euros": "x"}', "euros", "Expected `int`, got `str`"),
        (b'{"customer": "ann"}', "euros", "missing"),
        (b'{"customer": "ann", "euros": 1, "lines": [{"sku": 3}]}', "lines[0].sku", "Expected `str`, got `int`"),
        (b'{"customer": "ann", "euros": 1, "lines": [{"sku": "a"}]}', "lines[0].price", "missing"),
        (b'{"customer": "ann", "euros": 1, "prices": {"a": {"amount": "1"}}}', "prices[...].currency", "missing"),
        (b"[]", "", "Expected `object`, got `array`"),
        (b"", "", "Input data was truncated"),
        (b'{"customer": ', "", "Input data was truncated"),
        (b'{"customer": "\xff', "", "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_field_and_the_reason(data: bytes, path: str, reason: str) -> None:
    with pytest.raises(MessageInvalid) as refused:
        decode(data, PlaceOrder)
    if path or reason.startswith("Expected"):
        assert refused.value == MessageInvalid(message="PlaceOrder", path=path, reason=reason)
    assert (refused.value.message, refused.value.path, refused.value.status) == ("PlaceOrder", path, 422)


def test_money_with_too_many_digits_is_refused_where_it_stands() -> None:
    data = b'{"customer": "ann", "euros": 1, "prices": {"a": {"amount": "1.005", "currency": "EUR"}}}'
    with pytest.raises(MessageInvalid) as refused:
        decode(data, PlaceOrder)
    assert refused.value.path == "prices[...]"
    assert "1.005 EUR" in refused.value.reason


def test_a_key_of_a_map_that_does_not_fit_is_said_to_be_a_key() -> None:
    with pytest.raises(MessageInvalid) as refused:
        decode(b'{"x": 1}', FrozenMap[int, int])
    assert refused.value.reason == "Expected `int`, got `str` in a key"


def test_json_nested_deeper_than_anything_sane_is_refused_and_not_a_crash() -> None:
    with pytest.raises(MessageInvalid) as refused:
        decode(b"[" * 1_000_000, Any)  # type: ignore[arg-type]
    assert refused.value.reason == "nested too deeply"


@given(st.binary(max_size=40))
def test_bytes_from_anywhere_decode_or_are_refused_but_raise_nothing_else(data: bytes) -> None:
    answer: object
    try:
        answer = decode(data, PlaceOrder)
    except MessageInvalid as refused:
        answer = refused
    assert isinstance(answer, (PlaceOrder, MessageInvalid))


def test_a_field_that_only_a_newer_version_knows_is_ignored() -> None:
    message = decode(b'{"customer": "ann", "euros": 4, "coupon": "x"}', PlaceOrder)
    assert message == PlaceOrder(customer="ann", euros=4)


def test_a_decoder_is_made_once_for_each_type() -> None:
    assert decoder(PlaceOrder) is decoder(PlaceOrder)
    assert decoder(PlaceOrder) is not decoder(Everything)


def test_a_result_without_value_and_a_result_of_any_type_cross_the_wire() -> None:
    assert decode(encode(None), type(None)) is None
    assert decoder(int | None)(encode(None)) is None
    assert decoder(tuple[Line, ...])(encode((Line(Sku("a"), Money.zero("EUR")),))) == (
        Line(Sku("a"), Money.zero("EUR")),
    )


def test_a_value_without_json_form_is_refused_by_its_type() -> None:
    with pytest.raises(TypeError, match="object has no JSON form"):
        encode(object())
    with pytest.raises(TypeError, match="tuple has no JSON form"):
        encode(FrozenMap({(1, 2): 3}))


def test_a_type_without_json_form_is_refused_by_its_name() -> None:
    class Opaque:
        pass

    with pytest.raises(NotImplementedError, match="Opaque has no JSON form"):
        decode(b'"x"', Opaque)


def test_text_from_a_query_string_becomes_typed_when_it_is_asked_to() -> None:
    class Find(Query[int]):
        sku: str
        most: int = 10
        exact: bool = False

    assert convert({"sku": "7", "most": "3", "exact": "true"}, Find, strict=False) == Find(sku="7", most=3, exact=True)
    with pytest.raises(MessageInvalid) as refused:
        convert({"sku": "7", "most": "three"}, Find, strict=False)
    assert refused.value.path == "most"


class TooSmall(Rejection, status=422):
    minimum: Money
    lines: tuple[Line, ...] = ()


class Gone(Rejection, status=410, code="order-gone"):
    pass


REJECTIONS = st.builds(TooSmall, minimum=MONEY, lines=st.lists(LINES, max_size=2).map(tuple)) | st.builds(Gone)


@given(REJECTIONS)
def test_a_rejection_crosses_the_wire_as_its_own_type(rejection: Rejection) -> None:
    back = decode_rejection(encode_rejection(rejection), (Gone, TooSmall))
    assert type(back) is type(rejection)
    assert back == rejection
    assert str(back) == str(rejection)
    assert (back.code, back.status) == (rejection.code, rejection.status)


def test_a_default_of_a_rejection_stands_in_for_a_field_that_an_older_version_did_not_send() -> None:
    sent = b'{"code": "TooSmall", "status": 422, "payload": {"minimum": {"amount": "5", "currency": "EUR"}}}'
    assert decode_rejection(sent, (TooSmall,)) == TooSmall(minimum=Money("5", "EUR"))


def test_a_rejection_that_nobody_declared_keeps_its_code_status_and_payload_through_any_number_of_hops() -> None:
    sent = encode_rejection(TooSmall(minimum=Money("5", "EUR")))
    unknown = decode_rejection(encode_rejection(decode_rejection(sent, ())), (Gone,))
    assert isinstance(unknown, UnknownRejection)
    assert (unknown.code, unknown.status) == ("TooSmall", 422)
    assert unknown.payload() == {"minimum": {"amount": "5.00", "currency": "EUR"}, "lines": []}
    assert "TooSmall" in str(unknown)
    assert decode_rejection(encode_rejection(unknown), (TooSmall,)) == TooSmall(minimum=Money("5", "EUR"))


def test_a_rejection_whose_payload_no_longer_fits_is_kept_as_it_came() -> None:
    unknown = decode_rejection(b'{"code": "TooSmall", "status": 422, "payload": {"minimum": 5}}', (TooSmall,))
    assert unknown == UnknownRejection("TooSmall", 422, {"minimum": 5})


def test_an_invalid_message_is_a_rejection_that_every_receiver_knows() -> None:
    refused = MessageInvalid(message="PlaceOrder", path="euros", reason="missing")
    assert decode_rejection(encode_rejection(refused), ()) == refused


def test_json_that_is_no_rejection_is_refused() -> None:
    with pytest.raises(MessageInvalid):
        decode_rejection(b"[]", (TooSmall,))
