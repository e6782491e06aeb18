"""HTTP requests reach handlers as messages; answers and refusals come back as HTTP."""

from __future__ import annotations

import logging
from typing import Any
from uuid import UUID

import msgspec
import pytest

from insula.kernel.context import ANONYMOUS, Caller
from insula.kernel.errors import DeadlineExceeded, Rejection, StorageFull, Unavailable
from insula.messages import Command, Query
from insula.modules.module import Module

orders = Module("orders")
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Order(msgspec.Struct, frozen=True):
    number: int
    customer: str


class OutOfStock(Rejection):
    """There is too little stock."""

    left: int


class NotSignedIn(Rejection, status=401):
    """Say who you are."""


class PlaceOrder(Command[Order], rejects=(OutOfStock,)):
    customer: str
    quantity: int = 1


class CancelOrder(Command[None]):
    number: int
    reason: str = ""


class RenameCustomer(Command[None]):
    customer: str
    name: str


class GetOrder(Query[Order | None]):
    number: int
    fields: tuple[str, ...] = ()


class FindOrders(Query[tuple[Order, ...]]):
    customer: str


@orders.post("/orders", status=201)
@orders.handle(PlaceOrder)
async def place_order(command: PlaceOrder) -> Order:
    return Order(1, command.customer)


@orders.delete("/orders/{number}", status=204)
@orders.handle(CancelOrder)
async def cancel_order(command: CancelOrder) -> None:
    return None


@orders.put("/customers/{customer}/name")
@orders.handle(RenameCustomer)
async def rename_customer(command: RenameCustomer) -> None:
    return None


@orders.get("/orders/{number}")
@orders.handle(GetOrder)
async def get_order(query: GetOrder) -> Order | None:
    return None


@orders.get("/customers/{customer}/orders")
@orders.handle(FindOrders)
async def find_orders(query: FindOrders) -> tuple[Order, ...]:
    return ()


BODY = b'{"customer":"ann"}'


async def test_a_body_becomes_a_command_and_its_result_the_answer(bus: Any, serve: Any) -> None:
    bus.answers[PlaceOrder] = Order(7, "ann")
    answer = await serve(orders).send("POST", "/orders", b'{"customer":"ann","quantity":2,"colour":"later"}')
    assert bus.calls == [PlaceOrder(customer="ann", quantity=2)]
    assert (answer.status, answer.json) == (201, {"number": 7, "customer": "ann"})
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-length"] == str(len(answer.body))


async def test_a_command_answers_the_id_it_went_by(bus: Any, serve: Any) -> None:
    bus.answers[PlaceOrder] = Order(7, "ann")
    answer = await serve(orders).send("POST", "/orders", BODY)
    assert answer.headers["insula-message-id"] == bus.options[0]["id"]


async def test_path_and_query_become_a_query(bus: Any, serve: Any) -> None:
    bus.answers[GetOrder] = Order(7, "ann")
    answer = await serve(orders).send("GET", "/orders/7?fields=a&fields=b%20c")
    assert bus.calls == [GetOrder(number=7, fields=("a", "b c"))]
    assert (answer.status, answer.json) == (200, {"number": 7, "customer": "ann"})
    assert "insula-message-id" not in answer.headers


async def test_path_and_body_are_merged(bus: Any, serve: Any) -> None:
    answer = await serve(orders).send("PUT", "/customers/7/name", b'{"name":"Ann"}')
    assert bus.calls == [RenameCustomer(customer="7", name="Ann")]
    assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"", "0")


async def test_a_path_value_may_hold_a_slash_and_any_letter(bus: Any, serve: Any) -> None:
    bus.answers[FindOrders] = ()
    await serve(orders).send("GET", "/customers/a%2Fb%20%C3%A9/orders")
    assert bus.calls == [FindOrders(customer="a/b é")]


async def test_a_path_that_is_no_utf_8_is_400(serve: Any) -> None:
    answer = await serve(orders).send("GET", "/customers/%ff%fe/orders")
    assert (answer.status, answer.json["code"]) == (400, "PathInvalid")


async def test_no_content_has_neither_body_nor_length(bus: Any, serve: Any) -> None:
    answer = await serve(orders).send("DELETE", "/orders/7?reason=late")
    assert bus.calls == [CancelOrder(number=7, reason="late")]
    assert (answer.status, answer.body) == (204, b"")
    assert set(answer.headers) == {"insula-message-id"}


async def test_an_optional_result_that_is_missing_is_null(serve: Any) -> None:
    answer = await serve(orders).send("GET", "/orders/7")
    assert (answer.status, answer.body) == (200, b"null")


async def test_head_is_get_without_the_body(bus: Any, serve: Any) -> None:
    bus.answers[GetOrder] = Order(7, "ann")
    client = serve(orders)
    got, asked = await client.send("GET", "/orders/7"), await client.send("HEAD", "/orders/7")
    assert (asked.status, asked.body) == (200, b"")
    assert asked.headers == got.headers


async def test_options_names_the_methods_of_a_path(bus: Any, serve: Any) -> None:
    answer = await serve(orders).send("OPTIONS", "/orders/7")
    assert (answer.status, answer.headers["allow"]) == (204, "DELETE, GET, HEAD, OPTIONS")
    assert bus.calls == []


@pytest.mark.parametrize(
    "method,path,allow", [("GET", "/orders", "OPTIONS, POST"), ("POST", "/docs", "GET, HEAD, OPTIONS")]
)
async def test_another_method_is_405_with_those_that_work(serve: Any, method: str, path: str, allow: str) -> None:
    answer = await serve(orders).send(method, path)
    assert (answer.status, answer.headers["allow"], answer.json["code"]) == (405, allow, "MethodNotAllowed")


@pytest.mark.parametrize("path", ["/nothing", "/orders/7/lines", "/orders/", "/", "/customers//orders"])
async def test_an_unknown_path_is_a_404_problem(serve: Any, path: str) -> None:
    answer = await serve(orders).send("GET", path)
    assert (answer.status, answer.headers["content-type"]) == (404, "application/problem+json")
    assert path in answer.json["detail"]


async def test_it_works_below_a_root_path(bus: Any, serve: Any) -> None:
    bus.answers[PlaceOrder] = Order(7, "ann")
    client = serve(orders)
    placed = await client.send("POST", "/api/orders", BODY, root_path="/api")
    found = await client.send("GET", "/api/orders/7", root_path="/api")
    assert (placed.status, found.status) == (201, 200)


@pytest.mark.parametrize(
    "body,status,pointer",
    [
        (b'{"customer":', 400, None),
        (b"", 422, "#/customer"),
        (b"{}", 422, "#/customer"),
        (b'{"customer":5}', 422, "#/customer"),
        (b'{"customer":"a","quantity":"2"}', 422, "#/quantity"),
        (b"[]", 422, "#"),
    ],
)
async def test_a_body_that_does_not_fit_names_the_field(
    bus: Any, serve: Any, body: bytes, status: int, pointer: str | None
) -> None:
    answer = await serve(orders).send("POST", "/orders", body)
    assert (answer.status, answer.json["status"]) == (status, status)
    assert [error["pointer"] for error in answer.json.get("errors", [])] == ([pointer] if pointer else [])
    assert bus.calls == []


async def test_an_unknown_query_parameter_is_named(bus: Any, serve: Any) -> None:
    answer = await serve(orders).send("GET", "/orders/7?colour=red")
    assert (answer.status, answer.json["errors"][0]["pointer"]) == (422, "#/colour")
    assert bus.calls == []


async def test_a_query_of_endless_parameters_is_refused(serve: Any) -> None:
    answer = await serve(orders).send("GET", "/orders/7?" + "&".join(["fields=a"] * 1001))
    assert (answer.status, answer.json["code"]) == (400, "QueryTooLong")


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_a_body_that_is_no_json_by_its_type_is_415(serve: Any, content_type: str) -> None:
    answer = await serve(orders).send("POST", "/orders", BODY, {"content-type": content_type})
    assert (answer.status, answer.json["code"]) == (415, "UnsupportedMediaType")


async def test_a_rejection_is_a_problem_with_its_payload(bus: Any, serve: Any) -> None:
    bus.answers[PlaceOrder] = OutOfStock(left=3)
    answer = await serve(orders).send("POST", "/orders", BODY)
    assert (answer.status, answer.headers["content-type"]) == (409, "application/problem+json")
    assert answer.json == {
        "type": "urn:insula:rejection:OutOfStock",
        "title": "There is too little stock",
        "status": 409,
        "detail": "There is too little stock: left=3",
        "instance": f"urn:uuid:{answer.headers['insula-message-id']}",
        "code": "OutOfStock",
        "left": 3,
    }


@pytest.mark.parametrize(
    "failure,status,retry_after",
    [
        (Unavailable("secret host", retry_after=4.2), 503, "5"),
        (Unavailable("secret host"), 503, "1"),
        (DeadlineExceeded("secret"), 504, None),
        (StorageFull("secret"), 507, None),
    ],
)
async def test_a_failure_is_its_status_and_tells_the_reason_to_the_log_only(
    bus: Any, serve: Any, caplog: Any, failure: Exception, status: int, retry_after: str | None
) -> None:
    bus.answers[PlaceOrder] = failure
    answer = await serve(orders).send("POST", "/orders", BODY)
    assert (answer.status, answer.headers.get("retry-after")) == (status, retry_after)
    assert b"secret" not in answer.body
    assert str(failure) in caplog.text
    assert answer.headers["insula-message-id"] in caplog.text


async def test_an_unforeseen_error_is_a_500_without_its_text_and_logged_with_the_message_id(
    bus: Any, serve: Any, caplog: Any
) -> None:
    bus.answers[GetOrder] = ZeroDivisionError("secret")
    with caplog.at_level(logging.ERROR, logger="insula.http"):
        answer = await serve(orders).send("GET", "/orders/7")
    assert (answer.status, answer.json["code"]) == (500, "InternalError")
    assert b"secret" not in answer.body
    assert b"Traceback" not in answer.body
    assert "ZeroDivisionError: secret" in caplog.text
    assert answer.json["instance"].removeprefix("urn:uuid:") in caplog.text


async def test_the_answer_of_a_query_that_is_of_another_type_is_a_500_naming_the_handler_in_the_log(
    bus: Any, serve: Any, caplog: Any
) -> None:
    bus.answers[FindOrders] = [{"number": "many", "customer": "ann"}]
    answer = await serve(orders).send("GET", "/customers/ann/orders")
    assert answer.status == 500
    assert "orders.find_orders answered" in caplog.text
    assert "number: Expected `int`, got `str`" in caplog.text


async def test_a_result_that_cannot_be_encoded_is_a_500(bus: Any, serve: Any, caplog: Any) -> None:
    bus.answers[GetOrder] = object()
    answer = await serve(orders).send("GET", "/orders/7")
    assert answer.status == 500
    assert "no JSON form" in caplog.text


async def test_the_same_idempotency_key_of_the_same_caller_is_the_same_message(bus: Any, serve: Any) -> None:
    bus.answers[PlaceOrder] = Order(7, "ann")
    client = serve(orders, caller_of=lambda headers: Caller(headers.get("x-user", "nobody")))
    for key, user in (("k1", "ann"), ('"k1"', "ann"), ("k2", "ann"), ("k1", "bob")):
        await client.send("POST", "/orders", BODY, {"idempotency-key": key, "x-user": user})
    first, same, other_key, other_user = (options["id"] for options in bus.options)
    assert first == same
    assert len({first, other_key, other_user}) == 3
    assert str(UUID(first)) == first


async def test_only_a_command_with_a_key_can_be_repeated(bus: Any, serve: Any) -> None:
    bus.answers[PlaceOrder] = Order(7, "ann")
    client = serve(orders)
    for more in ({}, {"request-timeout": "1"}):
        await client.send("POST", "/orders", BODY, more)
        await client.send("POST", "/orders", BODY, {"idempotency-key": "k", **more})
    assert [options["repeatable"] for options in bus.options] == [False, True, False, True]


@pytest.mark.parametrize("keys", [[""], ["k" * 256], ["a", "b"]])
async def test_an_unusable_idempotency_key_is_refused(bus: Any, serve: Any, keys: list[str]) -> None:
    answer = await serve(orders).send("POST", "/orders", BODY, [("idempotency-key", key) for key in keys])
    assert (answer.status, answer.json["code"]) == (400, "IdempotencyKeyInvalid")
    assert bus.calls == []


async def test_a_query_needs_no_idempotency_key(bus: Any, serve: Any) -> None:
    client = serve(orders)
    await client.send("GET", "/orders/7", headers={"idempotency-key": "k"})
    await client.send("GET", "/orders/7", headers={"idempotency-key": "k"})
    assert bus.options[0]["id"] != bus.options[1]["id"]


async def test_the_trace_of_the_request_is_passed_on(bus: Any, serve: Any) -> None:
    client = serve(orders)
    await client.send("GET", "/orders/7", headers={"traceparent": TRACE})
    await client.send("GET", "/orders/7", headers=[("traceparent", TRACE), ("traceparent", TRACE)])
    await client.send("GET", "/orders/7", headers={"traceparent": "nonsense"})
    assert [options["traceparent"] for options in bus.options] == [TRACE, None, None]


@pytest.mark.parametrize("name", ["request-timeout", "x-request-timeout"])
async def test_the_time_limit_of_the_request_is_passed_on(bus: Any, serve: Any, name: str) -> None:
    client = serve(orders)
    await client.send("GET", "/orders/7", headers={name: "1.5"})
    refused = await client.send("GET", "/orders/7", headers={name: "soon"})
    assert [options["timeout"] for options in bus.options] == [1.5]
    assert (refused.status, refused.json["code"]) == (400, "RequestTimeoutInvalid")


async def test_who_asks_is_anonymous_unless_configured(bus: Any, serve: Any) -> None:
    await serve(orders).send("GET", "/orders/7", headers={"x-user": "ann"})
    await serve(orders, caller_of=lambda headers: Caller(headers["X-User"])).send(
        "GET", "/orders/7", headers={"x-user": "ann"}
    )
    assert [options["caller"] for options in bus.options] == [ANONYMOUS, Caller("ann")]


async def test_whoever_finds_out_who_asks_may_refuse(bus: Any, serve: Any) -> None:
    def nobody(headers: Any) -> Caller:
        raise NotSignedIn

    answer = await serve(orders, caller_of=nobody).send("GET", "/orders/7")
    assert (answer.status, answer.json["code"]) == (401, "NotSignedIn")
    assert bus.calls == []
