"""A value has one spelling whichever database gives it back, and no two values share one."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal, localcontext
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as some

from insula.store.canonical import Checksum, NotComparable, canonical, digest_of

scalars = (
    some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False) | some.text() | some.binary()
    | some.decimals(allow_nan=False, allow_infinity=False) | some.datetimes() | some.dates() | some.times()
    | some.timedeltas() | some.uuids()
)  # fmt: skip
documents = some.recursive(
    some.none() | some.booleans() | some.integers() | some.text(),
    lambda inner: some.lists(inner) | some.dictionaries(some.text(), inner),
)
rows = some.lists(some.lists(scalars, min_size=2, max_size=2))


@given(scalars | documents, scalars | documents)
def test_values_share_a_spelling_only_when_they_are_the_same(left: Any, right: Any) -> None:
    same = type(left) is type(right) and left == right
    assert (canonical(left) == canonical(right)) or not same
    if canonical(left) == canonical(right):
        assert left == right


@given(some.decimals(allow_nan=False, allow_infinity=False, places=4))
def test_decimals_lose_trailing_zeros_and_nothing_else(value: Decimal) -> None:
    longer = Decimal(f"{value:f}0000")
    assert canonical(value) == canonical(longer)
    with localcontext(prec=1000):  # the default one would round a long number to itself
        assert canonical(value) != canonical(value + Decimal("0.0001"))


@given(some.datetimes(min_value=datetime.fromisoformat("1000-01-01")), some.integers(-23, 23))
def test_a_moment_is_the_same_in_every_zone(moment: datetime, hours: int) -> None:
    here = moment.replace(tzinfo=UTC)
    assert canonical(here) == canonical(here.astimezone(timezone(timedelta(hours=hours))))
    assert canonical(here) != canonical(moment)


@given(some.dictionaries(some.text(), some.integers()))
def test_a_document_has_no_order_of_names(document: dict[str, int]) -> None:
    assert canonical(document) == canonical(dict(reversed(document.items())))


@given(rows, some.randoms())
def test_a_checksum_has_no_order_of_rows(found: list[list[Any]], chance: Any) -> None:
    mixed = list(found)
    chance.shuffle(mixed)
    half = len(found) // 2
    assert Checksum().plus(found) == Checksum().plus(mixed)
    assert Checksum().plus(found) == Checksum().plus(found[:half]).plus(found[half:])


@given(rows, some.lists(scalars, min_size=2, max_size=2))
def test_a_row_more_is_another_checksum(found: list[list[Any]], row: list[Any]) -> None:
    assert Checksum().plus(found) != Checksum().plus([*found, row])


def test_values_do_not_run_into_each_other() -> None:
    assert digest_of(["ab", "c"]) != digest_of(["a", "bc"])
    assert digest_of([None, "a"]) != digest_of(["a", None])
    assert canonical(["ab", "c"]) != canonical(["a", "bc"])


def test_minus_zero_is_zero_as_sqlite_has_it() -> None:
    assert canonical(-0.0) == canonical(0.0)
    assert canonical(Decimal("-0.00")) == canonical(Decimal(0))


def test_kinds_that_look_alike_are_told_apart() -> None:
    alike = [1, True, "1", b"1", 1.0, Decimal(1), date(1, 1, 1), time(1), timedelta(1), UUID(int=1), [1], {"1": 1}]
    assert len({canonical(value) for value in alike}) == len(alike)


def test_what_cannot_be_compared_is_said() -> None:
    with pytest.raises(NotComparable, match="values of object cannot be compared"):
        canonical(object())
