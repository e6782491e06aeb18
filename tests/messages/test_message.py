from __future__ import annotations

import inspect
import sys
from datetime import date, timedelta
from enum import Enum
from typing import Any, Generic, Literal, NewType, TypeVar
from uuid import UUID

import msgspec
import pytest

from insula.kernel.errors import Rejection
from insula.messages import Command, Event, Message, Query, check_message, encode, key_of, kind_of, result_type
from insula.messages.message import MessageMeta

T = TypeVar("T")
OrderId = NewType("OrderId", str)
THIS_FILE = __file__


class TooSmall(Rejection, status=422):
    minimum: int


class OtherTooSmall(Rejection, code="TooSmall"):
    pass


class HoldsList(Rejection):
    names: list[str]


class PlaceOrder(Command[OrderId], key="customer", rejects=(TooSmall,)):
    customer: str
    euros: int = 10


class GetPoints(Query[int | None]):
    customer: str


class OrderPlaced(Event, key="customer", name="orders.placed", version=2, expires=timedelta(days=1)):
    customer: str


class Parent(Event):
    child: Child | None = None
    itself: Parent | None = None


IS_CHECKED_BEFORE_ITS_CHILD_EXISTS = Parent.__is_checked__


class Child(Event):
    name: str


class GetLater(Query["tuple[Later, ...]"]):
    pass


class Later(msgspec.Struct, frozen=True):
    name: str


def test_a_message_is_made_by_keyword_and_compares_by_value() -> None:
    assert PlaceOrder(customer="ann", euros=10) == PlaceOrder(customer="ann")
    assert hash(PlaceOrder(customer="ann")) == hash(PlaceOrder(customer="ann"))
    assert PlaceOrder(customer="ann") != PlaceOrder(customer="bob")
    with pytest.raises(TypeError):
        PlaceOrder("ann", 10)  # type: ignore[misc]


def test_a_message_cannot_change() -> None:
    order = PlaceOrder(customer="ann")
    with pytest.raises(AttributeError):
        order.euros = 11  # type: ignore[misc]
    assert order.euros == 10


def test_a_message_knows_its_name_version_key_and_rejections() -> None:
    assert (PlaceOrder.__message_name__, PlaceOrder.__version__, PlaceOrder.__key_field__) == (
        "PlaceOrder",
        1,
        "customer",
    )
    assert PlaceOrder.__rejects__ == (TooSmall,)
    assert (OrderPlaced.__message_name__, OrderPlaced.__version__) == ("orders.placed", 2)
    assert OrderPlaced.__expires__ == timedelta(days=1)
    assert PlaceOrder.__expires__ is None


def test_a_message_knows_where_it_is_written() -> None:
    with open(THIS_FILE) as source:
        lines = source.read().splitlines()
    file, line = GetPoints.__place__
    assert (file, lines[line - 1]) == (THIS_FILE, "class GetPoints(Query[int | None]):")


def test_the_fields_are_all_that_crosses_the_wire_and_all_names_are_free_for_them() -> None:
    class Named(Event):
        name: str
        key: str
        version: int
        kind: str

    assert encode(Named(name="a", key="b", version=3, kind="c")) == b'{"name":"a","key":"b","version":3,"kind":"c"}'


def test_a_subclass_inherits_fields_key_rejections_and_result_but_not_the_name() -> None:
    class Special(PlaceOrder):
        gift: bool = False

    assert Special(customer="ann", gift=True).customer == "ann"
    assert (Special.__key_field__, Special.__rejects__) == ("customer", (TooSmall,))
    assert Special.__message_name__ == "Special"
    assert result_type(Special) is OrderId


def test_kind_of_tells_commands_queries_and_events_and_refuses_the_rest() -> None:
    assert [kind_of(message) for message in (PlaceOrder, GetPoints, OrderPlaced)] == ["command", "query", "event"]
    for other in (Command, Query, Event, Message, int, "PlaceOrder"):
        with pytest.raises(TypeError, match="is no message"):
            kind_of(other)


class Colour(Enum):
    RED = "red"


def test_the_ordering_key_is_the_text_of_its_field() -> None:
    class Keyed(Event, key="field"):
        field: OrderId | int | None

    class ByIdentity(Event, key="identity"):
        identity: UUID

    class ByChoice(Event, key="choice"):
        choice: Literal["a", "b"]

    class ByColour(Event, key="colour"):
        colour: Colour

    class ByDay(Event, key="day"):
        day: date

    assert key_of(PlaceOrder(customer="ann")) == "ann"
    assert key_of(GetPoints(customer="ann")) is None
    assert key_of(Keyed(field=7)) == "7"
    assert key_of(Keyed(field=None)) is None
    assert key_of(ByColour(colour=Colour.RED)) == "red"
    assert key_of(ByDay(day=date(2024, 2, 29))) == "2024-02-29"
    assert key_of(ByChoice(choice="b")) == "b"
    assert key_of(ByIdentity(identity=UUID(int=7))) == "00000000-0000-0000-0000-000000000007"


def test_the_result_is_read_from_the_base() -> None:
    class Nothing(Command[None]):
        pass

    assert result_type(PlaceOrder) is OrderId
    assert result_type(GetPoints) == int | None
    assert result_type(Nothing) is type(None)
    assert result_type(OrderPlaced) is type(None)


def test_the_result_is_found_through_generic_and_mixed_bases() -> None:
    class Create(Command[T], Generic[T]):
        name: str

    class CreateMany(Create[tuple[T, ...]], Generic[T]):
        pass

    class Audited(Message):
        """A mark, without fields."""

    class CreateOrders(Audited, CreateMany[OrderId]):
        pass

    assert result_type(CreateOrders) == tuple[OrderId, ...]
    assert kind_of(CreateOrders) == "command"
    assert CreateOrders(name="n").name == "n"


def test_a_result_may_name_a_class_that_comes_later() -> None:
    assert result_type(GetLater) == tuple[Later, ...]
    check_message(GetLater)
    assert GetLater.__is_checked__


def test_a_field_may_name_a_class_that_comes_later_and_is_then_checked_on_demand() -> None:
    assert not IS_CHECKED_BEFORE_ITS_CHILD_EXISTS
    check_message(Parent)
    assert Parent.__is_checked__
    assert Parent(child=Child(name="a"), itself=Parent()).child == Child(name="a")


def test_a_name_that_is_never_defined_stays_a_name_error() -> None:
    class Dangling(Event):
        field: NeverDefined  # noqa: F821

    with pytest.raises(NameError, match="NeverDefined"):
        check_message(Dangling)


def test_a_wrong_field_is_refused_even_when_another_cannot_be_resolved_yet() -> None:
    with pytest.raises(TypeError, match=r"Half\.names: list\[str\] can change"):

        class Half(Event):
            later: NeverDefined  # noqa: F821
            names: list[str]


def test_a_mutable_field_is_refused_when_the_class_is_made_naming_class_field_place_and_remedy() -> None:
    line = sys._getframe().f_lineno + 3
    with pytest.raises(TypeError) as refused:

        class PlaceMany(Command[None]):
            skus: list[str]

    assert str(refused.value) == (
        f"PlaceMany.skus: list[str] can change after the message is made; use tuple[X, ...] ({THIS_FILE}:{line})"
    )


def test_a_mutable_result_and_a_mutable_rejection_are_refused_too() -> None:
    with pytest.raises(TypeError, match=r"the result of GetAll: list\[str\] can change"):

        class GetAll(Query[list[str]]):
            pass

    with pytest.raises(TypeError, match=r"HoldsList\.names, rejected by Place,: list\[str\] can change"):

        class Place(Command[None], rejects=(HoldsList,)):
            pass


def test_a_union_that_json_cannot_tell_apart_is_refused_when_the_class_is_made() -> None:
    with pytest.raises(TypeError, match=r"Ambiguous: .*union") as refused:

        class Ambiguous(Event):
            field: date | str

    assert THIS_FILE in str(refused.value)


@pytest.mark.parametrize(
    ("base", "keywords", "reason"),
    [
        (Event, {"key": "missing"}, "key='missing' is no field; it has ['field']"),
        (Event, {"key": "real"}, "is no field"),
        (Event, {"name": "two words"}, "must be one word"),
        (Event, {"name": ""}, "must be one word"),
        (Event, {"version": 0}, "must be a whole number from 1"),
        (Event, {"version": "2"}, "must be a whole number from 1"),
        (Event, {"expires": timedelta(0)}, "positive timedelta"),
        (Query[int], {"expires": timedelta(1)}, "on commands and events"),
        (Event, {"rejects": (TooSmall,)}, "for commands and queries"),
        (Command[None], {"rejects": (ValueError,)}, "is no subclass of Rejection"),
        (Command[None], {"rejects": TooSmall}, "takes a tuple"),
        (Command[None], {"rejects": (TooSmall, OtherTooSmall)}, "two classes with the code 'TooSmall'"),
        (Command, {}, "say what it answers, such as Command[None]"),
        (Query, {}, "say what it answers, such as Query[None]"),
        (Event, {"frozen": False}, "frozen"),
        (Event, {"colour": 3}, "colour"),
    ],
)
def test_a_wrong_class_keyword_is_refused_with_the_reason(base: Any, keywords: dict[str, Any], reason: str) -> None:
    with pytest.raises(TypeError) as refused:

        class Wrong(base, **keywords):
            field: str

    assert reason in str(refused.value)


@pytest.mark.parametrize(
    ("base", "keywords"), [(Command, {}), (Event, {"key": "nope"}), (Query[int], {"rejects": (1,)})]
)
def test_a_wrong_class_is_refused_naming_its_class_statement(base: Any, keywords: dict[str, Any]) -> None:
    line = inspect.currentframe().f_lineno + 3  # type: ignore[union-attr]
    with pytest.raises(TypeError) as refused:

        class Wrong(base, **keywords):
            field: str

    assert str(refused.value).endswith(f"({__file__}:{line})")


@pytest.mark.parametrize("annotation", [float, tuple[str, ...], bytes, bool, msgspec.UnsetType | str])
def test_a_field_whose_text_is_not_always_the_same_cannot_be_the_key(annotation: Any) -> None:
    with pytest.raises(TypeError, match="cannot be the key"):
        MessageMeta("Keyed", (Event,), {"__annotations__": {"field": annotation}, "__module__": __name__}, key="field")


def test_a_default_and_a_default_factory_stand_in_for_fields_left_out() -> None:
    class Listed(Event):
        names: tuple[str, ...] = ()
        tags: frozenset[str] = msgspec.field(default_factory=frozenset)

    assert Listed() == Listed(names=(), tags=frozenset())
