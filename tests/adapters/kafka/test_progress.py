"""Only what was acknowledged without a gap is committed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from insula.adapters.kafka.progress import Progress


@given(st.data(), st.integers(0, 30), st.sets(st.integers(0, 60), min_size=1))
def test_nothing_is_committed_before_all_up_to_it_was_acknowledged(
    data: st.DataObject, start: int, distances: set[int]
) -> None:
    offsets = sorted(start + each for each in distances)  # brokers leave some out
    progress = Progress(start)
    assert all(progress.given(each) for each in offsets)
    left = list(offsets)
    for each in data.draw(st.permutations(offsets)):
        assert progress.reached <= left[0]
        progress.acknowledged(each)
        left.remove(each)
        reached = [each for each in offsets if not left or each < left[0]]
        assert progress.reached == (reached[-1] + 1 if reached else start)
        if not left:
            break
    assert len(progress) == 0


def test_what_was_acknowledged_twice_or_never_given_changes_nothing() -> None:
    progress = Progress(5)
    progress.given(5)
    for offset in (4, 5, 5):
        progress.acknowledged(offset)
    assert (progress.reached, len(progress)) == (6, 0)


def test_a_message_before_an_earlier_one_is_not_of_this_partition_any_more() -> None:
    progress = Progress(5)
    assert progress.given(5)
    assert not progress.given(0)
    assert progress.next == 6
