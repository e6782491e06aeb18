from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insula.kernel import INSULA_NAMESPACE, SeededRandomness, SystemClock, SystemRandomness, Uuid7, derive

START = datetime(2026, 2, 3, 4, 5, 6, 789_000, tzinfo=UTC)


class SetClock(SystemClock):
    """A wall clock that shows what it was set to."""

    def __init__(self, moment: datetime = START) -> None:
        self.moment = moment

    def now(self) -> datetime:
        """The moment it was set to."""
        return self.moment


def test_an_id_is_a_uuid_of_version_7_with_the_moment_in_front() -> None:
    made = uuid.UUID(Uuid7(SetClock(), SeededRandomness(1)).new())
    assert made.version == 7
    assert made.variant == uuid.RFC_4122
    assert made.int >> 80 == int(START.timestamp() * 1000)


@given(st.lists(st.integers(min_value=-5_000, max_value=5_000), min_size=1, max_size=60))
def test_ids_grow_while_the_clock_stands_still_jumps_or_goes_back(steps_in_milliseconds: list[int]) -> None:
    clock = SetClock()
    ids = Uuid7(clock, SeededRandomness(3))
    made = [ids.new()]
    for step in steps_in_milliseconds:
        clock.moment += timedelta(milliseconds=step)
        made += [ids.new(), ids.new()]
    assert made == sorted(made)
    assert len(set(made)) == len(made)


@given(st.integers(min_value=0, max_value=2**73 - 1))
def test_ids_stay_valid_and_grow_wherever_the_random_part_starts(start: int) -> None:
    class Fixed(SeededRandomness):
        def bits(self, n: int) -> int:
            return start

    ids = Uuid7(SetClock(), Fixed(0))
    made = [ids.new() for _ in range(3)]
    assert made == sorted(set(made))
    assert {uuid.UUID(one).version for one in made} == {7}
    assert {uuid.UUID(one).variant for one in made} == {uuid.RFC_4122}


def test_two_sources_at_the_same_millisecond_make_different_ids() -> None:
    one, other = (Uuid7(SetClock(), SystemRandomness()) for _ in range(2))
    assert not {one.new() for _ in range(500)} & {other.new() for _ in range(500)}


def test_ids_of_the_real_clock_are_unique_and_ordered() -> None:
    ids = Uuid7(SystemClock(), SystemRandomness())
    made = [ids.new() for _ in range(20_000)]
    assert made == sorted(set(made))


@given(st.uuids(), st.text(st.characters(exclude_categories=["Cs"])))
def test_a_derived_id_is_the_uuid5_of_its_parent_and_name(parent: uuid.UUID, name: str) -> None:
    assert derive(str(parent), name) == str(uuid.uuid5(parent, name))
    assert derive(str(parent).upper(), name) == str(uuid.uuid5(parent, name))


@pytest.mark.parametrize("parent", ["", "order-1", "6f0d7c2e", "zz0d7c2e-3a51-5b8e-9c44-1f2a7be0d813"])
def test_a_parent_that_is_no_uuid_is_refused_with_advice(parent: str) -> None:
    with pytest.raises(ValueError, match=r"is no UUID; use derive\(INSULA_NAMESPACE"):
        derive(parent, "name")


def test_the_namespace_never_changes() -> None:
    assert derive(INSULA_NAMESPACE, "order-1") == "41e81e1c-1968-5b0c-95ce-9e343d640162"
