"""What is sent after a failure of which nobody knows how much was stored: properties, with brokers that are lists."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from contracts.transport.reading import message
from insula.adapters.kafka.numbering import TOGETHER, Numbered, Numbering, Recent
from insula.messages import Envelope
from insula.messaging.transport import partition_of

PARTITIONS = 3
Stored = dict[int, list[Numbered]]


def log(size: int) -> list[Envelope]:
    """A module's log with keys of several partitions."""
    return [message(position, key=f"key {position * 7 % 11}") for position in range(1, size + 1)]


def tail(stored: Stored) -> Recent:
    """What is read of the brokers: the last of each partition."""
    last = [each for lane in stored.values() for each in lane[-TOGETHER:]]
    return Recent({each.envelope.id: each.number for each in last}, max((each.after for each in last), default=0))


def store(stored: Stored, planned: Sequence[Numbered], kept: Sequence[int]) -> None:
    """Store of each partition only so many as the brokers have kept before they were cut off."""
    for partition in range(PARTITIONS):
        stored[partition] += [each for each in planned if each.partition == partition][: kept[partition]]


def first_occurrences(lane: Sequence[Numbered]) -> list[int]:
    """The positions as a reader takes them, who passes over what it has had."""
    return list(dict.fromkeys(each.envelope.position for each in lane))


@given(
    size=st.integers(1, 400),
    page=st.integers(1, TOGETHER),
    cuts=st.lists(st.lists(st.integers(0, TOGETHER), min_size=PARTITIONS, max_size=PARTITIONS), max_size=6),
)
def test_whatever_was_stored_of_each_attempt_in_the_end_every_partition_has_all_of_it_in_order(
    size: int, page: int, cuts: list[list[int]]
) -> None:
    whole, stored = log(size), Stored({partition: [] for partition in range(PARTITIONS)})
    attempts, numbering = iter(cuts), Numbering(Recent())
    while numbering.stored < size:
        begin = max(0, numbering.stored - 1)  # the last one is sent once more, as the publisher does
        planned, then = numbering.plan(whole[begin : begin + page], PARTITIONS)
        kept = next(attempts, None)
        if kept is None:
            store(stored, planned, [TOGETHER] * PARTITIONS)
            numbering.done(planned, then)
            page = max(page, 2)
        else:
            store(stored, planned, kept)
            numbering = Numbering(tail(stored))
    for partition, lane in stored.items():
        assert first_occurrences(lane) == [
            each.position for each in whole if partition_of(each, PARTITIONS) == partition
        ]
        assert all(each.number == each.envelope.position for each in lane)


def test_the_first_that_is_missing_is_where_to_go_on() -> None:
    assert Recent().stored == 0
    assert Recent({"a": 7, "b": 8, "c": 10}, after=6).stored == 8
    assert Recent({"b": 8, "c": 10}, after=6).stored == 6


def test_what_is_missing_since_it_was_too_old_to_be_kept_is_not_taken_for_lost() -> None:
    assert Recent({"a": 300}, after=299).stored == 300


def test_what_is_there_already_is_not_sent_again() -> None:
    numbering = Numbering(Recent({"message-1": 1, "message-2": 2, "message-3": 3}))
    planned, stored = numbering.plan(log(5), PARTITIONS)
    assert [(each.envelope.position, each.number) for each in planned] == [(4, 4), (5, 5)]
    assert stored == 5


def test_what_stands_behind_a_missing_one_of_its_partition_is_sent_again_after_it() -> None:
    same = [message(position, key="k") for position in (1, 2, 3)]
    planned, stored = Numbering(Recent({"message-1": 1, "message-3": 3})).plan(same, 1)
    assert [each.envelope.position for each in planned] == [2, 3]
    assert stored == 3


def test_what_stands_behind_a_missing_one_of_another_partition_is_not_sent_again() -> None:
    whole = log(3)
    assert len({partition_of(each, PARTITIONS) for each in whole[1:]}) == 2
    planned, stored = Numbering(Recent({"message-1": 1, "message-3": 3})).plan(whole, PARTITIONS)
    assert [each.envelope.position for each in planned] == [2]
    assert stored == 3
