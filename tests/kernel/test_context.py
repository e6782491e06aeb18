from __future__ import annotations

from collections.abc import Hashable
from contextvars import copy_context
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insula.kernel import (
    ANONYMOUS,
    Caller,
    Context,
    Deadline,
    MessageContext,
    SeededRandomness,
    SystemClock,
    SystemRandomness,
    TraceContext,
    clock_of_process,
    derive,
    may_start_threads,
    new_process,
    process_state,
    randomness_of_process,
    state_of_process,
)

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
MESSAGE = "01890a5d-ac96-774b-bcce-b302099a8057"


def test_a_valid_traceparent_is_read_and_written_alike() -> None:
    header = f"00-{TRACE}-{SPAN}-01"
    trace = TraceContext.parse(header)
    assert trace == TraceContext(TRACE, SPAN, 1)
    assert trace is not None
    assert trace.sampled
    assert trace.format() == header


@pytest.mark.parametrize(
    ("reason", "header"),
    [
        ("empty", ""),
        ("upper case trace id", f"00-{TRACE.upper()}-{SPAN}-01"),
        ("upper case span id", f"00-{TRACE}-{SPAN.upper()}-01"),
        ("upper case flags", f"00-{TRACE}-{SPAN}-0A"),
        ("all-zero trace id", f"00-{'0' * 32}-{SPAN}-01"),
        ("all-zero span id", f"00-{TRACE}-{'0' * 16}-01"),
        ("version ff", f"ff-{TRACE}-{SPAN}-01"),
        ("short trace id", f"00-{TRACE[1:]}-{SPAN}-01"),
        ("long span id", f"00-{TRACE}-{SPAN}0-01"),
        ("no flags", f"00-{TRACE}-{SPAN}"),
        ("one digit of flags", f"00-{TRACE}-{SPAN}-1"),
        ("not hexadecimal", f"00-{TRACE[:-1]}g-{SPAN}-01"),
        ("digits that are not ASCII", f"00-{TRACE[:-1]}٣-{SPAN}-01"),
        ("something after the flags in version 00", f"00-{TRACE}-{SPAN}-01-what"),
        ("glued extra in a later version", f"01-{TRACE}-{SPAN}-01what"),
        ("a space in front", f" 00-{TRACE}-{SPAN}-01"),
        ("a newline behind", f"00-{TRACE}-{SPAN}-01\n"),
        ("two joined into one", f"00-{TRACE}-{SPAN}-01,00-{TRACE}-{SPAN}-01"),
    ],
)
def test_an_invalid_traceparent_starts_anew(reason: str, header: str) -> None:
    assert TraceContext.parse(header) is None, reason


def test_a_missing_or_duplicated_traceparent_starts_anew() -> None:
    header = f"00-{TRACE}-{SPAN}-01"
    assert TraceContext.parse() is None
    assert TraceContext.parse(header, header) is None


def test_a_later_version_is_read_as_far_as_it_is_known() -> None:
    expected = TraceContext(TRACE, SPAN, 1)
    assert TraceContext.parse(f"cc-{TRACE}-{SPAN}-01") == expected
    assert TraceContext.parse(f"cc-{TRACE}-{SPAN}-01-what-the-future-brings") == expected


def test_unknown_flags_are_not_passed_on() -> None:
    trace = TraceContext.parse(f"00-{TRACE}-{SPAN}-ff")
    assert trace is not None
    assert trace.format().endswith("-03")


@given(st.text())
def test_no_text_crashes_the_reader(header: str) -> None:
    trace = TraceContext.parse(header)
    assert trace is None or TraceContext.parse(trace.format()) == trace


@given(st.integers())
def test_a_child_stays_in_the_trace_with_a_span_of_its_own(seed: int) -> None:
    randomness = SeededRandomness(seed)
    root = TraceContext.start(randomness)
    child = root.child(randomness)
    assert TraceContext.parse(root.format()) == root
    assert TraceContext.parse(child.format()) == child
    assert (child.trace_id, child.flags) == (root.trace_id, root.flags)
    assert child.span_id != root.span_id


def test_a_caller_is_somebody_or_anonymous() -> None:
    assert ANONYMOUS.anonymous
    assert not Caller("ann").anonymous
    with pytest.raises(ValueError, match="subject is empty"):
        Caller("")


def context(deadline: Deadline | None = None) -> Context:
    """The context of one run of a handler."""
    message = MessageContext(MESSAGE, correlation_id="flow", causation_id="before", deadline=deadline)
    return Context(message, SystemClock())


def test_a_handler_learns_which_message_it_handles() -> None:
    told = context()
    assert (told.message_id, told.correlation_id, told.causation_id) == (MESSAGE, "flow", "before")


def test_ids_are_fresh_within_a_run_and_the_same_in_the_next() -> None:
    first, again = context(), context()
    made = [first.new_id() for _ in range(3)]
    assert len(set(made)) == 3
    assert made == [again.new_id() for _ in range(3)]
    assert made[0] == derive(MESSAGE, "id/1")


def test_idempotency_keys_depend_on_message_and_name_alone() -> None:
    told = context()
    told.new_id()
    assert told.idempotency_key("charge") == context().idempotency_key("charge") == derive(MESSAGE, "key/charge")
    assert told.idempotency_key("charge") != told.idempotency_key("refund")


def test_time_remains_only_where_somebody_waits() -> None:
    deadline = Deadline.after(60, SystemClock())
    waited_for = context(deadline)
    remaining = waited_for.remaining()
    assert waited_for.deadline == deadline
    assert remaining is not None
    assert 0 < remaining <= 60
    assert (context().deadline, context().remaining()) == (None, None)


def test_processes_do_not_share_their_state() -> None:
    made: list[object] = []

    def create() -> object:
        made.append(object())
        return made[-1]

    def in_a_process(state: dict[Hashable, Any]) -> object:
        process_state.set(state)
        assert state_of_process("breaker", create) is state_of_process("breaker", create)
        return state_of_process("breaker", create)

    one, other = (copy_context().run(in_a_process, {}) for _ in range(2))
    assert one is not other
    assert made == [one, other]


def test_the_trace_that_a_message_begins_carries_the_messages_id() -> None:
    trace = TraceContext.of_message("01900000-0000-7000-8000-0000000000ab")
    assert trace.format() == "00-019000000000700080000000000000ab-80000000000000ab-01"
    assert TraceContext.parse(trace.format()) == trace


def test_a_text_that_is_no_message_id_begins_no_trace() -> None:
    with pytest.raises(ValueError, match="UUID text"):
        TraceContext.of_message("order 1")


def test_the_real_process_has_the_systems_clock_and_chance_and_another_its_own() -> None:
    assert isinstance(clock_of_process(), SystemClock)
    assert clock_of_process() is clock_of_process()
    assert isinstance(randomness_of_process(), SystemRandomness)
    assert may_start_threads()
    clock, chance = SystemClock(), SeededRandomness(1)
    token = process_state.set(new_process(clock, chance, one_thread=True))
    assert (clock_of_process(), randomness_of_process(), may_start_threads()) == (clock, chance, False)
    process_state.reset(token)
    assert clock_of_process() is not clock
