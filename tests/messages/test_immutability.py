from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, Optional, TypedDict, TypeVar, Union
from uuid import UUID

import msgspec
import pytest

from insula.kernel.money import Money
from insula.messages import Event, FrozenMap
from insula.messages.immutability import check_immutable

T = TypeVar("T")
OrderId = NewType("OrderId", str)
Tags = NewType("Tags", list[str])


class Colour(Enum):
    RED = "red"


class Frozen(msgspec.Struct, frozen=True):
    name: str
    parent: Frozen | None = None


class Loose(msgspec.Struct):
    name: str


class HoldsLoose(msgspec.Struct, frozen=True):
    inner: tuple[Loose, ...]


class HoldsList(msgspec.Struct, frozen=True):
    names: list[str]


class Page(msgspec.Struct, Generic[T], frozen=True):
    items: tuple[T, ...]


@dataclasses.dataclass(frozen=True)
class FrozenPoint:
    x: int


@dataclasses.dataclass
class LoosePoint:
    x: int


class Span(NamedTuple):
    first: date
    last: date


class ListSpan(NamedTuple):
    days: list[date]


class Settings(TypedDict):
    name: str


class Email(str):
    __slots__ = ()


class Opaque:
    pass


class Happened(Event):
    at: datetime


@pytest.mark.parametrize(
    "annotation",
    [
        None,
        bool,
        int,
        float,
        str,
        bytes,
        datetime,
        date,
        time,
        timedelta,
        Decimal,
        UUID,
        Colour,
        Money,
        OrderId,
        Literal["a", 3],
        Annotated[int, msgspec.Meta(ge=0)],
        str | None,
        Optional[int],  # noqa: UP045 - the older spelling is another type at run time
        Union[int, str],  # noqa: UP007
        tuple[int, str],
        tuple[int, ...],
        tuple[()],
        frozenset[str],
        FrozenMap[str, Money],
        FrozenMap[OrderId, tuple[FrozenMap[date, int], ...]],
        FrozenMap[Literal["a", "b"], int],
        FrozenMap[Colour | int, int],
        Frozen,
        FrozenPoint,
        Span,
        Page[Frozen],
        Page[Page[int]],
        Happened,
        str | msgspec.UnsetType,
    ],
)
def test_a_type_whose_values_cannot_change_is_accepted(annotation: Any) -> None:
    assert check_immutable(annotation, "Order.field") is None


@pytest.mark.parametrize(
    ("annotation", "advice"),
    [
        (list[int], "use tuple[X, ...]"),
        (list, "use tuple[X, ...]"),
        (Sequence[int], "use tuple[X, ...]"),
        (deque[int], "use tuple[X, ...]"),
        (tuple, "use tuple[X, ...], saying what it holds"),
        (dict[str, int], "use FrozenMap[K, V]"),
        (dict, "use FrozenMap[K, V]"),
        (Mapping[str, int], "use FrozenMap[K, V]"),
        (FrozenMap, "use FrozenMap[K, V], saying what it holds"),
        (set[int], "use frozenset[X]"),
        (AbstractSet[int], "use frozenset[X]"),
        (frozenset, "use frozenset[X], saying what it holds"),
        (bytearray, "use bytes"),
        (Any, "use the type that is meant"),
        (object, "use the type that is meant"),
        (tuple[list[int], ...], "use tuple[X, ...]"),
        (int | list[int], "use tuple[X, ...]"),
        (FrozenMap[str, list[int]], "use tuple[X, ...]"),
        (Annotated[set[int], "doc"], "use frozenset[X]"),
        (Tags, "use tuple[X, ...]"),
        (Loose, "use `class Loose(msgspec.Struct, frozen=True)`"),
        (LoosePoint, "use `@dataclass(frozen=True)` on LoosePoint"),
        (Settings, "use a frozen msgspec.Struct"),
        (Email, 'use NewType("Email", str)'),
        (Opaque, "use a frozen msgspec.Struct"),
        (Path, "use a frozen msgspec.Struct"),
        (FrozenMap[tuple[int, int], int], "must be text, numbers, dates, UUIDs or enums"),
        (FrozenMap[bool, int], "must be text, numbers, dates, UUIDs or enums"),
        (T, "give it a type in the class that is sent"),
        (tuple[T, ...], "give it a type in the class that is sent"),
        (3, "is no type that a message can hold"),
    ],
)
def test_a_type_whose_values_can_change_is_refused_with_what_to_use_instead(annotation: Any, advice: str) -> None:
    with pytest.raises(TypeError) as refused:
        check_immutable(annotation, "Order.field")
    assert str(refused.value).startswith("Order.field")
    assert advice in str(refused.value)


@pytest.mark.parametrize(
    ("annotation", "path"),
    [
        (HoldsList, "Order.field.names: list[str]"),
        (tuple[HoldsLoose, ...], "Order.field.inner: Loose"),
        (Page[HoldsList], "Order.field.items.names: list[str]"),
        (Page[list[int]], "Order.field.items: list[int]"),
        (ListSpan, "Order.field.days: list"),
    ],
)
def test_a_mutable_type_deep_inside_is_named_with_the_path_to_it(annotation: Any, path: str) -> None:
    with pytest.raises(TypeError) as refused:
        check_immutable(annotation, "Order.field")
    assert str(refused.value).startswith(path)


def test_a_class_that_names_one_that_is_not_defined_yet_raises_a_name_error() -> None:
    class Early(msgspec.Struct, frozen=True):
        later: NotDefinedYet  # noqa: F821

    with pytest.raises(NameError, match="NotDefinedYet"):
        check_immutable(Early, "Order.field")
