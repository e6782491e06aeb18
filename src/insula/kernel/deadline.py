"""The moment until which an answer is of use."""

from __future__ import annotations

from contextvars import Context, ContextVar, Token, copy_context
from dataclasses import dataclass
from math import inf

from insula.kernel.clock import Clock

ambient_deadline: ContextVar[float] = ContextVar("insula_ambient_deadline", default=inf)
"""Until when the work that runs here is of use, in seconds on the process's monotonic clock; infinity without a limit.

A number, since it is set and read at every call: `earliest_deadline` makes a `Deadline` of it. It may only be narrowed:
work that does not depend on it runs in a task of its own, `without_deadline`."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment on one process's monotonic clock; between processes the remaining time travels instead.

    Parameters: `at`, seconds on the monotonic clock.
    """

    at: float

    @classmethod
    def after(cls, seconds: float, clock: Clock) -> Deadline:
        """The deadline that many seconds from now."""
        return cls(clock.monotonic() + seconds)

    def remaining(self, clock: Clock) -> float:
        """Seconds left; zero once it is over."""
        return max(0.0, self.at - clock.monotonic())

    def expired(self, clock: Clock) -> bool:
        """Whether no time is left."""
        return clock.monotonic() >= self.at


def earliest_deadline(deadline: Deadline | None = None) -> Deadline | None:
    """The earlier one of a deadline and that of the work that runs here; None if neither is limited."""
    ambient = ambient_deadline.get()
    if ambient == inf or (deadline is not None and deadline.at <= ambient):
        return deadline
    return Deadline(ambient)


def without_deadline() -> Context:
    """A copy of the running context that has no deadline, for a task that outlives the call which starts it.

    `create_task(refresh(), context=without_deadline())`. A task that inherits one keeps it, also when it is over.
    """
    context = copy_context()
    context.run(ambient_deadline.set, inf)
    return context


def leave_deadline(token: Token[float]) -> None:
    """Take back what `ambient_deadline.set` did. Harmless in a coroutine that somebody else closes, in his context."""
    try:
        ambient_deadline.reset(token)
    except ValueError:
        pass
