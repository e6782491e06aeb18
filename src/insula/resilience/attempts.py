"""What a retry decides after each failed attempt, and what it leaves on the error it raises. Nobody waits here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from insula.kernel.deadline import ambient_deadline
from insula.kernel.errors import Rejection
from insula.kernel.notes import chain
from insula.kernel.randomness import Randomness
from insula.resilience.backoff import Backoff
from insula.resilience.events import GaveUp, Retried
from insula.resilience.notes import leave_policy_note, shown
from insula.resilience.policy import Tell
from insula.resilience.retry_budget import Tokens

_KEPT = "__insula_attempts__"
_OTHER_ERROR = "this error is not retried"

Match = Callable[[Exception], "Backoff | None"]
"""The rule for waiting after an error; None if it is not one to retry."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt that failed.

    Parameters: `error`; `duration`, how long it took, in seconds, None for the first attempt where nobody listens (a
    clock would cost every call that succeeds); `delay`, the wait after it, in seconds, None after the last.
    """

    error: Exception
    duration: float | None
    delay: float | None

    def __str__(self) -> str:
        text = shown(self.error) if self.duration is None else f"{shown(self.error)} after {self.duration:.3g} s"
        return text if self.delay is None else f"{text}, waited {self.delay:.3g} s"


def attempts_of(error: BaseException) -> tuple[Attempt, ...]:
    """Every attempt of the `Retry` that raised this error, the last one included; empty if it was never retried."""
    kept: tuple[Attempt, ...] = error.__dict__.get(_KEPT, ())
    if not kept or not isinstance(error, Exception):
        return ()
    *before, last = kept
    return (*before, Attempt(error, last.duration, None))


class Attempts:
    """The attempts of one call, made when its first one has failed.

    Parameters: `policy`, the name of the retry; `function`, what is called; `most`, how many attempts in all; `match`;
    `monotonic` and `randomness`, those of the process; `tokens`, its budget; `started`, when the first attempt began.
    """

    __slots__ = (
        "_attempts", "_function", "_match", "_monotonic", "_most", "_policy", "_previous", "_randomness", "_started",
        "_tell", "_tokens",
    )  # fmt: skip

    def __init__(
        self,
        policy: str,
        function: str,
        most: int,
        match: Match,
        monotonic: Callable[[], float],
        randomness: Randomness,
        tokens: Tokens | None,
        tell: Tell | None,
        started: float | None,
    ) -> None:
        self._policy = policy
        self._function = function
        self._most = most
        self._match = match
        self._monotonic = monotonic
        self._randomness = randomness
        self._tokens = tokens
        self._tell = tell
        self._started = started
        self._previous = 0.0
        self._attempts: list[Attempt] = []

    def begin(self) -> None:
        """The next attempt begins."""
        self._started = self._monotonic()

    def delay_after(self, error: Exception) -> float | None:
        """How long to wait after the attempt that failed just now; None if its error is to be raised, and says why."""
        now = self._monotonic()
        _chain(error, self._attempts)
        decided = self._decide(error, now)
        if isinstance(decided, str):
            self._give_up(error, now, decided)
            return None
        self._attempts.append(Attempt(error, self._lasted(now), decided))
        self._previous = decided
        if self._tell is not None:
            self._tell(Retried(self._policy, self._function, len(self._attempts), decided, error))
        return decided

    def _decide(self, error: Exception, now: float) -> float | str:
        """The wait before the next attempt, or why there is none."""
        backoff = None if isinstance(error, Rejection) else self._match(error)
        if backoff is None:
            return _OTHER_ERROR
        number = len(self._attempts) + 1
        if number >= self._most:
            return "that was the last attempt"
        delay = max(backoff.delay(number, self._previous, self._randomness), _asked_for(error))
        left = ambient_deadline.get() - now
        if delay >= left:
            return f"the next would begin in {delay:.3g} s, and only {max(left, 0):.3g} s are left"
        if self._tokens is not None and not self._tokens.take():
            return "the retry budget is used up"
        return delay

    def _lasted(self, now: float) -> float | None:
        return None if self._started is None else now - self._started

    def _give_up(self, error: Exception, now: float, because: str) -> None:
        if because is _OTHER_ERROR and not self._attempts:
            return  # an error like any other; nothing of us shows on it
        attempts = [*self._attempts, Attempt(error, self._lasted(now), None)]
        _keep(error, attempts)
        leave_policy_note(error, self._policy, f"{_counted(attempts)}; {because}")
        if because is not _OTHER_ERROR and self._tell is not None:
            self._tell(GaveUp(self._policy, self._function, len(attempts), because, error))


def _asked_for(error: Exception) -> float:
    """What the other side said to wait at least."""
    asked = getattr(error, "retry_after", None)
    return float(asked) if isinstance(asked, (int, float)) and 0 <= asked < float("inf") else 0.0


def _chain(error: Exception, before: Sequence[Attempt]) -> None:
    """Let a traceback show the attempt before as well, unless the error has a history of its own, or is the same."""
    if not before or error.__context__ is not None:
        return
    link: BaseException | None = before[-1].error
    while link is not None:
        if link is error:
            return
        link = link.__context__
    chain(error, before[-1].error)


def _keep(error: Exception, attempts: Sequence[Attempt]) -> None:
    # The last attempt is kept without the error: it would hold itself, and with it every frame that it came through.
    *before, last = attempts
    error.__dict__[_KEPT] = (*before, Attempt(_NOBODY, last.duration, None))


_NOBODY = Exception("the error that this is kept on")


def _counted(attempts: Sequence[Attempt]) -> str:
    last = "; ".join(str(each) for each in attempts[-5:])
    more = f"{len(attempts) - 5} before, then " if len(attempts) > 5 else ""
    return f"{len(attempts)} {'attempt' if len(attempts) == 1 else 'attempts'}: {more}{last}"
