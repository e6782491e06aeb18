from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from insula.messages import Command, FrozenMap
from insula.messages.content import digest_of


class Line(msgspec.Struct, frozen=True):
    sku: str


class LineNow(msgspec.Struct, frozen=True):
    sku: str
    gift: bool = False


@dataclass(frozen=True)
class Place:
    town: str


@dataclass(frozen=True)
class PlaceNow:
    town: str
    country: str = "AT"


class Order(Command[None]):
    lines: tuple[Line, ...]
    places: frozenset[Place]
    prices: FrozenMap[str, Line]


class OrderNow(Command[None]):
    note: str = ""
    lines: tuple[LineNow, ...]
    places: frozenset[PlaceNow]
    prices: FrozenMap[str, LineNow]
    tags: FrozenMap[str, str] = msgspec.field(default_factory=FrozenMap)


class Amount(Command[None]):
    amount: int | bool | str | None = 1


def order(**changes: Any) -> OrderNow:
    given: dict[str, Any] = {
        "lines": (LineNow(sku="a"),),
        "places": frozenset({PlaceNow("Wien"), PlaceNow("Graz")}),
        "prices": FrozenMap({"x": LineNow(sku="b")}),
    }
    return OrderNow(**(given | changes))


def test_new_fields_with_defaults_change_no_digest_at_any_depth() -> None:
    before = Order(
        lines=(Line(sku="a"),), places=frozenset({Place("Graz"), Place("Wien")}), prices=FrozenMap({"x": Line(sku="b")})
    )
    assert digest_of(before) == digest_of(order())


@pytest.mark.parametrize(
    "changes",
    [
        {"note": "quick"},
        {"lines": (LineNow(sku="a", gift=True),)},
        {"lines": (LineNow(sku="a"), LineNow(sku="a"))},
        {"places": frozenset({PlaceNow("Wien"), PlaceNow("Graz", "DE")})},
        {"prices": FrozenMap({"y": LineNow(sku="b")})},
        {"tags": FrozenMap({"a": "b"})},
    ],
)
def test_other_content_has_another_digest(changes: dict[str, Any]) -> None:
    assert digest_of(order(**changes)) != digest_of(order())


def test_values_that_are_equal_but_of_another_type_are_other_content() -> None:
    assert len({digest_of(Amount(amount=each)) for each in (1, True, "1", None)}) == 4
