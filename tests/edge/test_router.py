"""From a method and a path to an endpoint."""

from __future__ import annotations

from typing import Any

import pytest

from insula.edge.endpoint import Endpoint, endpoints_of
from insula.edge.router import RouteTable, segments_of
from insula.messages import Command, Query
from insula.modules.declaration import HandlerDeclaration, Place, RouteDeclaration
from insula.modules.module import Module

MODULE = Module("orders")
PLACE = Place("orders.py", 1, "handler")


class Ask(Query[int]):
    order: str = ""
    line: str = ""


class Act(Command[None]):
    order: str = ""
    line: str = ""


def endpoint(method: str, path: str, status: int = 200) -> Endpoint:
    message: Any = Ask if method == "GET" else Act
    name = f"{method} {path}"
    handler = HandlerDeclaration(message.__name__, message, len, name, False, (), PLACE)  # type: ignore[arg-type]
    (made,) = endpoints_of([(MODULE, RouteDeclaration(method, path, status, len, PLACE), handler)])
    return made


TABLE = RouteTable(
    endpoint(*route.split())
    for route in (
        "GET /",
        "GET /orders",
        "POST /orders",
        "GET /orders/mine",
        "GET /orders/{order}",
        "DELETE /orders/{order}",
        "POST /orders/{order}/cancel",
        "GET /orders/{order}/lines/{line}",
        "GET /orders/archive/{order}",
        "GET /orders/",
    )
)


def found(method: str, path: str) -> tuple[str, tuple[str, ...]] | None:
    match = TABLE.find(method, segments_of(path))
    return match and (match[0].name, match[1])


@pytest.mark.parametrize(
    "request_line,name,values",
    [
        ("GET /", "GET /", ()),
        ("GET /orders", "GET /orders", ()),
        ("GET /orders/", "GET /orders/", ()),
        ("GET /orders/7", "GET /orders/{order}", ("7",)),
        ("DELETE /orders/7", "DELETE /orders/{order}", ("7",)),
        ("POST /orders/7/cancel", "POST /orders/{order}/cancel", ("7",)),
        ("GET /orders/7/lines/2", "GET /orders/{order}/lines/{line}", ("7", "2")),
        ("HEAD /orders/7", "GET /orders/{order}", ("7",)),
    ],
)
def test_a_path_finds_its_endpoint_and_the_values_of_its_fields(
    request_line: str, name: str, values: tuple[str, ...]
) -> None:
    assert found(*request_line.split()) == (name, values)


def test_plain_text_wins_over_a_field() -> None:
    assert found("GET", "/orders/mine") == ("GET /orders/mine", ())


def test_a_field_is_tried_where_plain_text_leads_nowhere() -> None:
    assert found("GET", "/orders/archive/lines/2") == ("GET /orders/{order}/lines/{line}", ("archive", "2"))
    assert found("DELETE", "/orders/mine") == ("DELETE /orders/{order}", ("mine",))


@pytest.mark.parametrize(
    "path", ["/order", "/orders/7/lines", "/orders//lines/2", "/orders-archive", "//", "/orders/7/"]
)
def test_another_path_finds_nothing(path: str) -> None:
    assert found("GET", path) is None
    assert TABLE.methods(segments_of(path)) == ()


def test_a_path_knows_its_methods() -> None:
    assert TABLE.methods(segments_of("/orders/mine")) == ("DELETE", "GET", "HEAD", "OPTIONS")
    assert TABLE.methods(segments_of("/orders/7/cancel")) == ("OPTIONS", "POST")


def test_the_short_way_holds_the_paths_without_fields() -> None:
    assert TABLE.exact["HEAD", "/orders"].name == "GET /orders"
    assert ("GET", "/orders/{order}") not in TABLE.exact


@pytest.mark.parametrize("status,answers", [(200, True), (201, True), (204, False), (205, False)])
def test_a_status_without_body_has_no_answer(status: int, answers: bool) -> None:
    assert endpoint("GET", "/x", status).has_answer is answers


def test_a_command_that_answers_nothing_has_no_answer() -> None:
    assert endpoint("POST", "/x").has_answer is False
