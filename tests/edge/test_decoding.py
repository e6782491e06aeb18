"""From path, query and body to the fields of a message."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
import pytest

from insula.edge.decoding import RequestPlan
from insula.edge.problem import RequestRefused
from insula.messages import Command, FrozenMap, MessageInvalid, Query

ORDER = "018f2b6c-7a3e-7c1d-9f6e-2d1b7a5c4e90"


class Line(msgspec.Struct, frozen=True):
    sku: str
    quantity: int


class FindOrders(Query[int]):
    customer: str
    states: tuple[Literal["open", "done"], ...] = ()
    numbers: frozenset[int] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 20
    since: date | None = None
    urgent: bool = False


class ChangeOrder(Command[None]):
    order_id: int
    price: Decimal
    lines: tuple[Line, ...] = ()
    labels: FrozenMap[str, str] = FrozenMap()


class Ping(Command[None]):
    pass


class Window(Command[None]):
    name: str
    first: int
    last: int

    def __post_init__(self) -> None:
        if self.first > self.last:
            raise ValueError("first is after last")


def find(*query: tuple[str, str], customer: str = "ann") -> Any:
    return RequestPlan(FindOrders, ("customer",), reads_body=False).decode((customer,), query, b"")


def change(body: bytes, order_id: str = "7", query: Any = ()) -> Any:
    return RequestPlan(ChangeOrder, ("order_id",), reads_body=True).decode((order_id,), query, body)


def refused(call: Any, *arguments: Any, **options: Any) -> tuple[str, str]:
    with pytest.raises(MessageInvalid) as invalid:
        call(*arguments, **options)
    return invalid.value.path, invalid.value.reason


def test_path_and_query_become_fields_of_their_types() -> None:
    message = find(("limit", "5"), ("since", "2030-01-31"), ("urgent", "true"))
    assert message == FindOrders(customer="ann", limit=5, since=date(2030, 1, 31), urgent=True)


def test_a_repeated_query_parameter_fills_a_tuple_or_a_set() -> None:
    message = find(("states", "open"), ("numbers", "2"), ("states", "done"), ("numbers", "1"))
    assert (message.states, message.numbers) == (("open", "done"), frozenset({1, 2}))


def test_one_value_fills_a_tuple_too() -> None:
    assert find(("states", "open")).states == ("open",)


def test_a_text_field_keeps_what_looks_like_a_number() -> None:
    assert find(customer="007").customer == "007"


def test_a_single_field_given_twice_is_refused() -> None:
    assert refused(find, ("limit", "1"), ("limit", "2")) == ("limit", "given more than once in the query")


def test_an_unknown_query_parameter_is_refused_with_those_that_exist() -> None:
    path, reason = refused(find, ("colour", "red"))
    assert path == "colour"
    assert reason.endswith("it takes states, numbers, limit, since, urgent")


def test_a_field_of_the_path_is_no_query_parameter() -> None:
    assert refused(find, ("customer", "bob"))[0] == "customer"


def test_a_query_value_out_of_range_or_of_another_type_is_refused_by_name() -> None:
    assert refused(find, ("limit", "500"))[0] == "limit"
    assert refused(find, ("limit", "many")) == ("limit", "Expected `int`, got `str`")
    assert refused(find, ("states", "lost"))[0] == "states[0]"


def test_a_body_alone_is_decoded_straight_into_the_message() -> None:
    plan = RequestPlan(Window, (), reads_body=True)
    assert plan.decode((), (), b'{"name":"a","first":1,"last":2,"later":true}') == Window(name="a", first=1, last=2)


def test_path_and_body_are_merged_and_decimals_keep_every_digit() -> None:
    message = change(b'{"price":0.10000000000000000000000001,"lines":[{"sku":"a","quantity":2}],"labels":{"x":"y"}}')
    assert message == ChangeOrder(
        order_id=7,
        price=Decimal("0.10000000000000000000000001"),
        lines=(Line("a", 2),),
        labels=FrozenMap({"x": "y"}),
    )


def test_the_body_may_repeat_the_path_but_not_contradict_it() -> None:
    assert change(b'{"order_id":7,"price":"1"}').order_id == 7
    assert refused(change, b'{"order_id":8,"price":"1"}')[0] == "order_id"


def test_a_path_value_of_another_type_is_refused_by_name() -> None:
    assert refused(change, b'{"price":"1"}', order_id="seven") == ("order_id", "Expected `int`, got `str`")


def test_a_missing_or_wrong_body_field_is_refused_by_name() -> None:
    assert refused(change, b"{}") == ("price", "missing")
    assert refused(change, b'{"price":"1","lines":[{"sku":"a"}]}') == ("lines[0].quantity", "missing")
    assert refused(change, b'{"price":"1","lines":[{"sku":"a","quantity":"2"}]}')[0] == "lines[0].quantity"
    assert refused(change, b"[]")[0] == ""


def test_an_empty_body_counts_as_an_empty_object() -> None:
    assert RequestPlan(Ping, (), reads_body=True).decode((), (), b"") == Ping()
    assert refused(change, b"") == ("price", "missing")


def test_a_query_beside_a_body_is_refused() -> None:
    assert refused(change, b'{"price":"1"}', query=[("price", "2")])[0] == "price"
    assert refused(RequestPlan(Ping, (), reads_body=True).decode, (), [("a", "b")], b"")[0] == "a"


@pytest.mark.parametrize("body", [b'{"price":', b'{"price":"1"} x', b"\xff", b"hello", b'{"price":"\xff"}'])
@pytest.mark.parametrize("path", [(), ("order_id",)])
def test_what_is_no_json_is_a_bad_request(body: bytes, path: tuple[str, ...]) -> None:
    plan = RequestPlan(ChangeOrder, path, reads_body=True)
    with pytest.raises(RequestRefused, match="no JSON") as error:
        plan.decode(("7",) * len(path), (), body)
    assert error.value.problem.status == 400


def test_json_nested_without_end_is_refused_and_not_followed() -> None:
    deep = b'{"price":"1","other":' + b"[" * 100_000
    with pytest.raises(RequestRefused, match="nested too deeply"):
        change(deep)


def test_a_class_that_refuses_its_values_is_heard_on_every_way() -> None:
    whole = RequestPlan(Window, (), reads_body=True)
    merged = RequestPlan(Window, ("name",), reads_body=True)
    by_query = RequestPlan(Window, ("name",), reads_body=False)
    backwards = b'{"name":"a","first":3,"last":2}'
    assert "first is after last" in refused(whole.decode, (), (), backwards)[1]
    assert "first is after last" in refused(merged.decode, ("a",), (), backwards)[1]
    assert "first is after last" in refused(by_query.decode, ("a",), [("first", "3"), ("last", "2")], b"")[1]


class Renamed(Command[None]):
    order_id: int
    user_name: str = msgspec.field(name="userName")


def test_a_field_keeps_its_name_on_the_wire_beside_path_fields() -> None:
    plan = RequestPlan(Renamed, ("order_id",), reads_body=True)
    assert plan.decode(["7"], (), b'{"userName": "ann"}') == Renamed(order_id=7, user_name="ann")
