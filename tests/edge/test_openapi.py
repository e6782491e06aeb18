"""The OpenAPI document says what the contracts say."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Annotated, Any

import msgspec
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from insula.edge.endpoint import endpoints_of
from insula.edge.openapi import document_of
from insula.kernel.errors import Rejection
from insula.kernel.money import Money
from insula.messages import Command, FrozenMap, Query, encode
from insula.modules.assembly import assemble
from insula.modules.module import Module
from insula.modules.system import System

orders, catalog = Module("orders"), Module("catalog")


class Line(msgspec.Struct, frozen=True):
    """One product of an order."""

    sku: str
    price: Money
    discount: Decimal = Decimal(0)


class EmptyOrder(Rejection, status=422):
    """An order needs a line."""


class OutOfStock(Rejection):
    """There is too little stock."""

    left: int


class Sold(Rejection):
    sku: str


class PlaceOrder(Command[str], rejects=(EmptyOrder, Sold)):
    customer: str
    lines: tuple[Line, ...]
    labels: FrozenMap[str, str] = FrozenMap()


class CancelOrder(Command[None], rejects=(Sold,)):
    order_id: str
    reason: str = ""


class CloseOrder(Command[None]):
    """Close an order for good.

    It cannot be opened again.
    """

    order_id: str


class FindProducts(Query[tuple[Line, ...]]):
    shelf: str
    colours: tuple[str, ...] = ()
    limit: Annotated[int, msgspec.Meta(ge=1)] = 20
    most: int | None = None


class GetShelf(Query[Line | None]):
    name: str


@orders.post("/orders", status=201)
@orders.handle(PlaceOrder)
async def place_order(command: PlaceOrder) -> str:
    """Take an order.

    The rest happens by events.
    """
    return ""


@orders.post("/orders/{order_id}/cancel", status=204)
@orders.put("/orders/{order_id}/cancelled", status=204)
@orders.handle(CancelOrder)
async def cancel_order(command: CancelOrder) -> None:
    return None


@orders.post("/orders/{order_id}/close")
@orders.handle(CloseOrder)
async def close_order(command: CloseOrder) -> None:
    return None


@catalog.get("/shelves/{shelf}/products")
@catalog.handle(FindProducts)
async def find_products(query: FindProducts) -> tuple[Line, ...]:
    return ()


@catalog.get("/shelves/{name}")
@catalog.handle(GetShelf)
async def get_shelf(query: GetShelf) -> Line | None:
    return None


ASSEMBLY = assemble(System("shop", orders, catalog))


@pytest.fixture(scope="module")
def document() -> Any:
    made = document_of(endpoints_of(ASSEMBLY.routes), title="shop", version="2")
    return json.loads(encode(made))


def operation(document: Any, method: str, path: str) -> Any:
    return document["paths"][path][method]


def resolved(document: Any, schema: Any) -> Any:
    return document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]


def test_the_document_is_valid_openapi_3_1(document: Any) -> None:
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []
    assert (document["openapi"], document["info"]) == ("3.1.0", {"title": "shop", "version": "2"})


def test_operations_are_named_by_handler_grouped_by_module_and_told_by_docstrings(document: Any) -> None:
    place = operation(document, "post", "/orders")
    assert (place["operationId"], place["tags"]) == ("orders.place_order", ["orders"])
    assert (place["summary"], place["description"]) == ("Take an order.", "The rest happens by events.")
    assert operation(document, "post", "/orders/{order_id}/close")["summary"] == "Close an order for good."
    assert operation(document, "get", "/shelves/{name}")["summary"] == "Get shelf"


def test_one_handler_on_two_routes_gets_two_operation_ids(document: Any) -> None:
    ids = {at["operationId"] for item in document["paths"].values() for at in item.values()}
    assert len(ids) == 6
    assert {"orders.cancel_order"} < {name for name in ids if name.startswith("orders.cancel_order")}


def test_a_body_is_the_message(document: Any) -> None:
    body = operation(document, "post", "/orders")["requestBody"]
    schema = resolved(document, body["content"]["application/json"]["schema"])
    assert body["required"] is True
    assert set(schema["properties"]) == {"customer", "lines", "labels"}
    assert schema["required"] == ["customer", "lines"]


def test_a_body_leaves_out_what_the_path_says(document: Any) -> None:
    cancel = operation(document, "post", "/orders/{order_id}/cancel")
    schema = resolved(document, cancel["requestBody"]["content"]["application/json"]["schema"])
    assert set(schema["properties"]) == {"reason"}
    assert cancel["requestBody"]["required"] is False
    assert cancel["parameters"][0] == {
        "name": "order_id", "in": "path", "required": True, "schema": {"type": "string"},
    }  # fmt: skip


def test_a_message_that_the_path_says_whole_has_no_body(document: Any) -> None:
    assert "requestBody" not in operation(document, "post", "/orders/{order_id}/close")


def test_the_other_fields_of_a_get_are_query_parameters_with_their_defaults(document: Any) -> None:
    parameters = {
        parameter["name"]: parameter
        for parameter in operation(document, "get", "/shelves/{shelf}/products")["parameters"]
    }
    assert {name: parameter["in"] for name, parameter in parameters.items()} == {
        "shelf": "path", "colours": "query", "limit": "query", "most": "query",
    }  # fmt: skip
    assert parameters["limit"]["schema"] == {"type": "integer", "minimum": 1, "default": 20}
    assert parameters["colours"]["schema"] == {"type": "array", "items": {"type": "string"}, "default": []}
    assert parameters["limit"]["required"] is False


def test_commands_take_an_idempotency_key_and_answer_their_message_id(document: Any) -> None:
    place = operation(document, "post", "/orders")
    assert [parameter["name"] for parameter in place["parameters"]] == ["Idempotency-Key"]
    assert "insula-message-id" in place["responses"]["201"]["headers"]
    assert "headers" not in operation(document, "get", "/shelves/{name}")["responses"]["200"]


def test_the_answer_is_the_result_type_and_none_has_no_content(document: Any) -> None:
    products = operation(document, "get", "/shelves/{shelf}/products")["responses"]["200"]["content"]
    assert products["application/json"]["schema"]["items"] == {"$ref": "#/components/schemas/Line"}
    assert "content" not in operation(document, "post", "/orders/{order_id}/cancel")["responses"]["204"]


def test_every_declared_rejection_is_a_problem_schema_under_its_status(document: Any) -> None:
    responses = operation(document, "post", "/orders")["responses"]
    assert list(responses) == ["201", "409", "422", "default"]
    sold = resolved(document, responses["409"]["content"]["application/problem+json"]["schema"])
    own = sold["allOf"][1]
    assert (sold["title"], sold["description"]) == ("Sold", "Sold.")
    assert own["properties"]["type"] == {"const": "urn:insula:rejection:Sold"}
    assert own["properties"]["sku"] == {"type": "string"}
    assert own["required"] == ["type", "status", "code", "sku"]


def test_a_422_is_either_a_rejection_or_a_field_that_does_not_fit(document: Any) -> None:
    refused = operation(document, "post", "/orders")["responses"]["422"]
    assert refused["description"] == "An order needs a line. A field is missing or has the wrong type."
    assert [
        resolved(document, schema)["title"]
        for schema in refused["content"]["application/problem+json"]["schema"]["anyOf"]
    ] == ["EmptyOrder", "ProblemDocument"]


def test_paths_that_differ_only_in_the_names_of_their_fields_are_one() -> None:
    module = Module("tags")
    module.get("/tags/{name}")(get_tag)
    module.delete("/tags/{tag}", status=204)(delete_tag)
    module.handle(GetTag)(get_tag)
    module.handle(DeleteTag)(delete_tag)
    document = document_of(endpoints_of(assemble(System("tags", module)).routes), title="tags", version="1")
    assert list(document["paths"]) == ["/tags/{name}"]
    assert list(OpenAPIV31SpecValidator(json.loads(encode(document))).iter_errors()) == []


class GetTag(Query[int]):
    name: str


class DeleteTag(Command[None]):
    tag: str


async def get_tag(query: GetTag) -> int:
    return 1


async def delete_tag(command: DeleteTag) -> None:
    return None
