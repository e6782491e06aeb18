"""What surrounds a message: who asks, what caused it, which trace it belongs to, how long it may take."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, MutableMapping
from contextvars import Context as _Variables
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar, cast

from insula.kernel.clock import Clock, SystemClock
from insula.kernel.deadline import Deadline
from insula.kernel.ids import derive
from insula.kernel.randomness import Randomness, SystemRandomness

T = TypeVar("T")

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_NO_TRACE, _NO_SPAN = "0" * 32, "0" * 16
_SAMPLED, _RANDOM_TRACE_ID = 0x01, 0x02


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks.

    Parameters: `subject`, the caller's stable identifier, never empty.
    """

    subject: str

    def __post_init__(self) -> None:
        if not self.subject:
            raise ValueError("Caller: subject is empty; use ANONYMOUS for a caller that is not known")

    @property
    def anonymous(self) -> bool:
        """Whether nobody said who asks."""
        return self.subject == ANONYMOUS.subject


ANONYMOUS = Caller("anonymous")


# Named tuples, this and MessageContext: they are made for every message, and frozen dataclasses take thrice as long.
class TraceContext(NamedTuple):
    """The place of a message in a distributed trace (W3C Trace Context).

    Parameters: `trace_id`, 32 lower-case hex digits; `span_id`, 16; `flags`, the trace flags, bit 0 is "sampled".
    """

    trace_id: str
    span_id: str
    flags: int = _SAMPLED

    @classmethod
    def parse(cls, *headers: str) -> TraceContext | None:
        """Read the `traceparent` headers of one request; None where the standard says to start a new trace.

        Strict, as the standard asks: exactly one header, lower case, no all-zero id, not version ff, nothing after
        the flags in version 00.
        """
        if len(headers) != 1:
            return None
        match = _TRACEPARENT.fullmatch(headers[0])
        if match is None:
            return None
        version, trace_id, span_id, flags, rest = match.groups()
        if version == "ff" or trace_id == _NO_TRACE or span_id == _NO_SPAN or (version == "00" and rest is not None):
            return None
        return cls(trace_id, span_id, int(flags, 16) & (_SAMPLED | _RANDOM_TRACE_ID))

    @classmethod
    def start(cls, randomness: Randomness) -> TraceContext:
        """The root of a new, sampled trace."""
        digits = f"{randomness.bits(192):048x}"  # one draw for both: this runs for every message that begins a flow
        trace_id, span_id = digits[:32], digits[32:]
        if trace_id == _NO_TRACE or span_id == _NO_SPAN:
            return cls.start(randomness)
        return cls(trace_id, span_id, _SAMPLED | _RANDOM_TRACE_ID)

    @classmethod
    def of_message(cls, message_id: str) -> TraceContext:
        """The root of the trace that one message begins: its id, so that neither has to be looked up from the other.

        Raises ValueError if `message_id` is no UUID text.
        """
        trace_id = message_id.replace("-", "")
        if len(trace_id) != 32:
            raise ValueError(f"{message_id!r} is no message id; message ids are UUID text")
        return cls(trace_id, trace_id[16:], _SAMPLED)

    def child(self, randomness: Randomness) -> TraceContext:
        """A new span in the same trace."""
        return TraceContext(self.trace_id, _hex_digits(randomness, 16), self.flags)

    @property
    def sampled(self) -> bool:
        """Whether the caller may have recorded this trace."""
        return bool(self.flags & _SAMPLED)

    def format(self) -> str:
        """The `traceparent` header, version 00."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags:02x}"


def _hex_digits(randomness: Randomness, count: int) -> str:
    # The standard forbids the all-zero id.
    return f"{randomness.bits(4 * count) or 1:0{count}x}"


class MessageContext(NamedTuple):
    """What travels beside one message.

    Parameters: `message_id`; `correlation_id`, the id of the message that began the whole flow; `causation_id`, that
    of the message which led to this one, None at the beginning; `caller`; `trace`; `deadline`, None if it is durable.
    """

    message_id: str
    correlation_id: str
    causation_id: str | None = None
    caller: Caller = ANONYMOUS
    trace: TraceContext | None = None
    deadline: Deadline | None = None


class Context:
    """The port through which a handler learns about the message it handles.

    One run of a handler has one `Context`, so that a second run of the same message derives the same ids.
    """

    __slots__ = ("_clock", "_ids", "_message")

    def __init__(self, message: MessageContext, clock: Clock) -> None:
        self._message = message
        self._clock = clock
        self._ids = 0

    @property
    def message_id(self) -> str:
        """The id of the message being handled."""
        return self._message.message_id

    @property
    def correlation_id(self) -> str:
        """The id of the message that began the whole flow."""
        return self._message.correlation_id

    @property
    def causation_id(self) -> str | None:
        """The id of the message that led to this one; None at the beginning of a flow."""
        return self._message.causation_id

    @property
    def deadline(self) -> Deadline | None:
        """Until when the caller waits; None for durable messages."""
        return self._message.deadline

    def remaining(self) -> float | None:
        """Seconds until the deadline; None without one."""
        deadline = self._message.deadline
        return None if deadline is None else deadline.remaining(self._clock)

    def new_id(self) -> str:
        """The handler's next id: UUID text, the same ones in the same order whenever this message is handled again."""
        self._ids += 1
        return derive(self._message.message_id, f"id/{self._ids}")

    def idempotency_key(self, name: str) -> str:
        """The key to give to an outside system for the effect `name`, the same at every attempt."""
        return derive(self._message.message_id, f"key/{name}")


process_state: ContextVar[MutableMapping[Hashable, Any]] = ContextVar("insula_process_state", default={})  # noqa: B039
"""State that belongs to one process, such as breakers. Shared by default on purpose: the real process is the default;
the simulator sets a mapping for each of its processes."""

REAL_PROCESS: MutableMapping[Hashable, Any] = _Variables().run(process_state.get)
"""The state of the process that Python runs in."""
_ONE_THREAD = "insula: one thread"


def state_of_process(key: Hashable, create: Callable[[], T]) -> T:
    """The running process's value for `key`, created at its first use."""
    state = process_state.get()
    if key not in state:
        return cast("T", state.setdefault(key, create()))  # of two threads that create it, both get the first
    return cast("T", state[key])


def new_process(clock: Clock, randomness: Randomness, *, one_thread: bool = False) -> MutableMapping[Hashable, Any]:
    """The state of a process that has just begun, to give to `process_state.set`.

    Parameters: `clock` and `randomness`, those of the process; `one_thread`, True if it may not start threads.
    """
    return {Clock: clock, Randomness: randomness, _ONE_THREAD: one_thread}


def clock_of_process() -> Clock:
    """The running process's clock; the system's unless `new_process` said otherwise."""
    return state_of_process(Clock, SystemClock)


def randomness_of_process() -> Randomness:
    """The running process's source of chance; the system's unless `new_process` said otherwise."""
    return state_of_process(Randomness, SystemRandomness)


def may_start_threads() -> bool:
    """Whether the running process may start threads; a simulated one may not."""
    return not process_state.get().get(_ONE_THREAD)
