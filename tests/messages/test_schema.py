from __future__ import annotations

import dataclasses
import subprocess
import sys
import textwrap
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, TypeVar
from uuid import UUID

import msgspec
import pytest

from insula.kernel.errors import Rejection
from insula.kernel.money import Money
from insula.messages import Command, Event, FrozenMap, encode
from insula.messages.schema import fingerprint, json_schema, json_schemas, rejection_schemas

T = TypeVar("T")
Sku = NewType("Sku", str)


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Line(msgspec.Struct, frozen=True):
    """One product of an order."""

    sku: Sku
    count: Annotated[int, msgspec.Meta(ge=1, description="How many.")] = 1


class Tree(msgspec.Struct, frozen=True):
    name: str
    branches: FrozenMap[str, Tree] = FrozenMap()


class Page(msgspec.Struct, Generic[T], frozen=True):
    items: tuple[T, ...]


class Cash(msgspec.Struct, frozen=True, tag="cash"):
    cents: int


class Card(msgspec.Struct, frozen=True, tag="card"):
    number: str


class Pair(msgspec.Struct, frozen=True, array_like=True):
    left: int
    right: int = 0


class Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    first_name: str


@dataclasses.dataclass(frozen=True)
class Point:
    x: int
    y: int = 0
    tags: tuple[str, ...] = dataclasses.field(default_factory=tuple)


class Span(NamedTuple):
    first: date
    last: date


class TooSmall(Rejection, status=422):
    minimum: Money


class PlaceOrder(Command[Sku], key="customer", rejects=(TooSmall,)):
    """Order something."""

    customer: str
    description: str
    lines: tuple[Line, ...] = ()
    prices: FrozenMap[Sku, Money] = FrozenMap({"a": Money("1", "EUR")})
    note: str | None = None


@pytest.mark.parametrize(
    ("annotation", "schema"),
    [
        (None, {"type": "null"}),
        (bool, {"type": "boolean"}),
        (Sku, {"type": "string"}),
        (bytes, {"type": "string", "contentEncoding": "base64"}),
        (UUID, {"type": "string", "format": "uuid"}),
        (Literal["a", 3], {"enum": ["a", 3]}),
        (int | None, {"anyOf": [{"type": "integer"}, {"type": "null"}]}),
        (str | msgspec.UnsetType, {"type": "string"}),
        (tuple[int, ...], {"type": "array", "items": {"type": "integer"}}),
        (frozenset[str], {"type": "array", "items": {"type": "string"}, "uniqueItems": True}),
        (
            tuple[int, str],
            {
                "type": "array",
                "prefixItems": [{"type": "integer"}, {"type": "string"}],
                "items": False,
                "minItems": 2,
                "maxItems": 2,
            },
        ),
        (FrozenMap[str, int], {"type": "object", "additionalProperties": {"type": "integer"}}),
        (FrozenMap[int, Any], {"type": "object"}),
        (
            FrozenMap[UUID, Decimal],
            {
                "type": "object",
                "propertyNames": {"format": "uuid"},
                "additionalProperties": {"type": "string", "format": "decimal"},
            },
        ),
        (dict[str, Any], {"type": "object"}),
        (list[int], {"type": "array", "items": {"type": "integer"}}),
        (
            Annotated[int, msgspec.Meta(gt=0, lt=9, multiple_of=3)],
            {
                "type": "integer",
                "exclusiveMinimum": 0,
                "exclusiveMaximum": 9,
                "multipleOf": 3,
            },
        ),
        (
            Annotated[str, msgspec.Meta(min_length=1, max_length=3, pattern="^a")],
            {
                "type": "string",
                "minLength": 1,
                "maxLength": 3,
                "pattern": "^a",
            },
        ),
        (
            Annotated[tuple[int, ...], msgspec.Meta(min_length=1)],
            {
                "type": "array",
                "items": {"type": "integer"},
                "minItems": 1,
            },
        ),
        (Annotated[int, "a remark"], {"type": "integer"}),
    ],
)
def test_each_type_has_its_schema(annotation: Any, schema: dict[str, Any]) -> None:
    assert json_schema(annotation) == schema


def test_a_message_has_its_fields_defaults_and_documentation() -> None:
    (reference,), components = json_schemas([PlaceOrder])
    assert reference == {"$ref": "#/components/schemas/PlaceOrder"}
    assert components["PlaceOrder"] == {
        "title": "PlaceOrder",
        "description": "Order something.",
        "type": "object",
        "properties": {
            "customer": {"type": "string"},
            "description": {"type": "string"},
            "lines": {"type": "array", "items": {"$ref": "#/components/schemas/Line"}, "default": []},
            "prices": {
                "type": "object",
                "additionalProperties": {"$ref": "#/components/schemas/Money"},
                "default": {"a": {"amount": "1.00", "currency": "EUR"}},
            },
            "note": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
        },
        "required": ["customer", "description"],
    }
    assert components["Line"]["properties"]["count"] == {
        "type": "integer",
        "minimum": 1,
        "description": "How many.",
        "default": 1,
    }
    assert components.keys() == {"PlaceOrder", "Line", "Money"}


def test_a_type_that_holds_itself_refers_to_itself() -> None:
    schema = json_schema(Tree)
    assert schema["$ref"] == "#/$defs/Tree"
    branches = schema["$defs"]["Tree"]["properties"]["branches"]
    assert branches == {"type": "object", "additionalProperties": {"$ref": "#/$defs/Tree"}, "default": {}}


def test_tagged_structs_are_told_apart_by_a_discriminator() -> None:
    schema = json_schema(Cash | Card | None)
    assert schema["anyOf"] == [{"$ref": "#/$defs/Cash"}, {"$ref": "#/$defs/Card"}, {"type": "null"}]
    assert schema["discriminator"] == {
        "propertyName": "type",
        "mapping": {"cash": "#/$defs/Cash", "card": "#/$defs/Card"},
    }
    assert schema["$defs"]["Cash"]["properties"]["type"] == {"const": "cash"}
    assert schema["$defs"]["Cash"]["required"] == ["type", "cents"]


def test_generic_structs_are_components_of_their_own() -> None:
    _, components = json_schemas([Page[Line], Page[int]])
    assert components["Page_Line"]["properties"]["items"]["items"] == {"$ref": "#/components/schemas/Line"}
    assert components["Page_int"]["properties"]["items"]["items"] == {"type": "integer"}


def test_two_classes_with_one_name_are_two_components() -> None:
    other = msgspec.defstruct("Line", [("text", str)], frozen=True, module="elsewhere")
    (first, second), components = json_schemas([Line, other])
    assert first == {"$ref": "#/components/schemas/Line"}
    assert second == {"$ref": "#/components/schemas/elsewhere.Line"}
    assert components["elsewhere.Line"]["properties"] == {"text": {"type": "string"}}


def test_enums_dataclasses_named_tuples_and_special_structs_look_as_they_are_encoded() -> None:
    _, components = json_schemas([Colour, Point, Span, Pair, Strict])
    assert components["Colour"] == {"title": "Colour", "enum": ["blue", "red"]}
    assert components["Point"]["required"] == ["x"]
    assert components["Point"]["properties"]["y"] == {"type": "integer", "default": 0}
    assert "description" not in components["Point"]
    assert components["Span"]["prefixItems"] == [{"type": "string", "format": "date"}] * 2
    assert (components["Pair"]["type"], components["Pair"]["minItems"]) == ("array", 1)
    assert components["Strict"]["additionalProperties"] is False
    assert components["Strict"]["required"] == ["firstName"]
    assert encode(Strict("ann")) == b'{"firstName":"ann"}'


def test_a_type_without_json_form_is_refused_by_its_name() -> None:
    with pytest.raises(TypeError, match="complex has no JSON schema"):
        json_schema(complex)


def test_rejections_are_described_by_their_code() -> None:
    schemas, components = rejection_schemas([TooSmall])
    assert schemas == {"TooSmall": {"$ref": "#/components/schemas/TooSmall"}}
    assert components["TooSmall"]["required"] == ["minimum"]


def made(**changes: Any) -> type[Event]:
    """A version of one event: with other fields, class keywords or documentation."""
    fields = changes.pop("fields", {"name": str, "lines": tuple[Line, ...]})
    namespace = {"__annotations__": fields, "__module__": __name__, "__doc__": changes.pop("doc", None)}
    return type(Event)("Happened", (Event,), namespace, **changes)


def test_a_fingerprint_stays_the_same_for_the_same_contract() -> None:
    assert fingerprint(made()) == fingerprint(made())
    assert fingerprint(made(doc="Documented now.")) == fingerprint(made())
    assert fingerprint(made(fields={"lines": tuple[Line, ...], "name": str})) == fingerprint(made())


@pytest.mark.parametrize(
    "changes",
    [
        {"fields": {"name": str}},
        {"fields": {"name": str, "lines": tuple[Line, ...], "description": str}},
        {"fields": {"name": int, "lines": tuple[Line, ...]}},
        {"fields": {"name": str, "lines": tuple[Point, ...]}},
        {"key": "name"},
        {"version": 2},
        {"name": "another"},
    ],
)
def test_a_fingerprint_changes_with_the_contract(changes: dict[str, Any]) -> None:
    assert fingerprint(made(**changes)) != fingerprint(made())


def test_a_field_called_description_is_part_of_the_fingerprint() -> None:
    one, other = {"fields": {"description": str}}, {"fields": {"description": int}}
    assert fingerprint(made(**one)) != fingerprint(made(**other))


def test_result_and_rejections_are_part_of_the_fingerprint() -> None:
    class First(Command[int], name="Ask", rejects=(TooSmall,)):
        pass

    class OtherResult(Command[str], name="Ask", rejects=(TooSmall,)):
        pass

    class NoRejection(Command[int], name="Ask"):
        pass

    assert len({fingerprint(message) for message in (First, OtherResult, NoRejection)}) == 3


def test_a_fingerprint_is_the_same_in_another_process() -> None:
    code = """
        from insula.messages import Event
        from insula.messages.schema import fingerprint
        class Happened(Event, key="name"):
            name: str
            tags: frozenset[str] = frozenset({"a", "b", "c"})
        print(fingerprint(Happened))
    """
    prints = {
        subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code)],
            env={"PYTHONPATH": ":".join(sys.path), "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(prints) == 1
    assert len(prints.pop().strip()) == 64
