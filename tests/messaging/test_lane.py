"""The order of one partition: nothing overtakes, nothing that is missing is passed over, nothing is lost track of."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from contracts.transport.reading import message
from insula.messaging.lane import Entry, Gap, Lane
from insula.messaging.transport import Delivery


def delivery(position: int, previous: int | None = None, receipt: object = None) -> Delivery:
    """The message at a position, after the one before it unless told otherwise."""
    return Delivery(message(position, previous=position - 1 if previous is None else previous), 0, receipt)


def begin(lane: Lane) -> list[Entry]:
    """All that may begin."""
    return list(iter(lane.next, None))


def at(entries: Sequence[Entry]) -> list[int]:
    return [entry.envelope.position for entry in entries]


def begun(lane: Lane, *positions: int) -> list[Entry]:
    """Those messages, arrived and begun."""
    for position in positions:
        lane.arrive(delivery(position))
    return begin(lane)


def test_messages_begin_in_their_order_and_the_first_is_where_a_new_reader_begins() -> None:
    lane = Lane(None)
    lane.arrive(delivery(41, previous=38))
    lane.arrive(delivery(44, previous=41))
    assert at(begin(lane)) == [41, 44]
    assert lane.remembered == 38


def test_what_comes_too_early_waits_for_what_is_before_it() -> None:
    lane = Lane(0)
    for position in (3, 2):
        lane.arrive(delivery(position))
    assert at(begin(lane)) == []
    assert lane.gap() == Gap(0, 2)
    lane.arrive(delivery(1))
    assert at(begin(lane)) == [1, 2, 3]
    assert lane.gap() is None


def test_positions_of_other_partitions_are_no_gap() -> None:
    lane = Lane(10)
    lane.arrive(delivery(15, previous=7))  # it was told to begin after 10, wherever that lies
    lane.arrive(delivery(19, previous=15))
    assert at(begin(lane)) == [15, 19]


def test_only_what_was_remembered_is_acknowledged_and_only_as_far_as_nothing_is_missing() -> None:
    lane = Lane(0)
    first, second, third = begun(lane, 1, 2, 3)
    lane.taken(first)
    lane.taken(third)
    assert lane.to_remember() == 1
    assert [each.envelope.position for each in lane.remember(1)] == [1]
    lane.taken(second)
    assert lane.to_remember() == 3


def test_what_was_remembered_and_comes_again_only_wants_its_acknowledgement() -> None:
    lane = Lane(5)
    assert not lane.arrive(delivery(4))
    assert not lane.arrive(delivery(5))
    assert lane.arrive(delivery(6))


def test_a_message_that_comes_twice_begins_once_and_both_deliveries_are_acknowledged() -> None:
    lane = Lane(0)
    for receipt in ("first", "second"):
        lane.arrive(delivery(1, receipt=receipt))
    (entry,) = begin(lane)
    lane.arrive(delivery(1, receipt="third"))
    assert at(begin(lane)) == []
    lane.taken(entry)
    assert [each.receipt for each in lane.remember(1)] == ["first", "second", "third"]


def test_after_a_failure_nothing_begins_until_it_is_mended_and_then_the_failed_before_the_others() -> None:
    lane = Lane(0)
    first, second, third = begun(lane, 1, 2, 3)
    lane.failed(first, OSError("the disk is full"))
    lane.arrive(delivery(4))
    assert at(begin(lane)) == []
    lane.failed(third, OSError("not in turn"))
    lane.taken(second)
    assert lane.is_still
    lane.mend()
    assert at(begin(lane)) == [1, 3, 4]


@given(st.permutations(range(1, 9)), st.lists(st.integers(1, 8), max_size=8))
def test_in_whatever_order_and_however_often_they_come_each_begins_once_and_in_order(
    order: list[int], again: list[int]
) -> None:
    lane, started = Lane(0), list[int]()
    for position in [*order, *again]:
        lane.arrive(delivery(position))
        started += at(begin(lane))
    assert started == list(range(1, 9))
