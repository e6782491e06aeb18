"""What a retry decides after each failed attempt, and what it leaves on the error it raises. Nobody waits here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass

from insula.kernel.deadline import ambient_deadline
from insula.kernel.errors import Rejection
from insula.kernel.notes import chain, leave_note
from insula.resilience.asked_waits import asked_seconds
from insula.resilience.backoff import Backoff
from insula.resilience.events import GaveUp, Retried
from insula.resilience.functions import Misused
from insula.resilience.notes import leave_policy_note, shown
from insula.resilience.policy import Machine, Tell
from insula.resilience.retry_budget import Tokens

_KEPT = "__insula_attempts__"
NEVER_RETRIED = (Rejection, Misused)
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
    """Every attempt of the `Retry` that raised this error, the last one included; empty if it was never retried.

    Where a `Timeout` around the retry ended it, its `TimedOut` has the attempts up to then.
    """
    kept: tuple[Attempt, ...] = error.__dict__.get(_KEPT, ())
    if not kept or not isinstance(error, Exception):
        return ()
    *before, last = kept
    return (*before, Attempt(error, last.duration, None)) if last.error is _NOBODY else kept


@dataclass(frozen=True, slots=True)
class RetryRules:
    """What a `Retry` was told: its `name`; `most` attempts in all; which errors `match`; what they say about waiting
    (`said`)."""

    name: str
    most: int
    match: Match
    said: Callable[[Exception], object]


on_thread: ContextVar[list[Attempts] | None] = ContextVar("insula_attempts_on_thread", default=None)
"""The calls that are tried again on a thread whose caller may not wait for their end; nobody can interrupt them."""


class Attempts:
    """The attempts of one call, made when its first one has failed.

    Parameters: `rules`; `function`, what is called; `here`, the process; `tokens`, its budget; `started`, when the
    first attempt began, None if that is not known.
    """

    __slots__ = (
        "_attempts", "_function", "_here", "_is_running", "_previous", "_rules", "_started", "_tell", "_tokens",
    )  # fmt: skip

    def __init__(
        self,
        rules: RetryRules,
        function: str,
        here: Machine,
        tokens: Tokens | None,
        tell: Tell | None,
        started: float | None,
    ) -> None:
        self._rules = rules
        self._function = function
        self._here = here
        self._tokens = tokens
        self._tell = tell
        self._started = started
        self._is_running = True
        self._previous = 0.0
        self._attempts: list[Attempt] = []

    @property
    def last_error(self) -> Exception:
        """That of the attempt after which another one follows."""
        return self._attempts[-1].error

    def begin(self) -> None:
        """The next attempt begins."""
        self._started = self._here.monotonic()
        self._is_running = True

    def delay_after(self, error: Exception) -> float | None:
        """How long to wait after the attempt that failed just now; None if its error is to be raised, and says why."""
        now = self._here.monotonic()
        self._is_running = False
        _chain(error, self._attempts)
        try:
            decided = self._decide(error, now)
        except Exception as mistake:
            self._blame(mistake, error)
            raise
        if isinstance(decided, str):
            self._give_up(error, now, decided)
            return None
        self._attempts.append(Attempt(error, self._lasted(now), decided))
        self._previous = decided
        if self._tell is not None:
            self._tell(Retried(self._rules.name, self._function, len(self._attempts), decided, error))
        return decided

    def interrupted(self, error: BaseException) -> None:
        """Somebody ends the call while an attempt runs, or before the next one: what ends it says what was before."""
        if not isinstance(error, Exception):
            self.tell(error)

    def tell(self, error: BaseException) -> None:
        """Let an error that ends the call tell of the attempts until now."""
        if not self._attempts:
            return
        attempts, went_on = list(self._attempts), "it waited for the next"
        if self._is_running:
            lasted = self._lasted(self._here.monotonic())
            attempts.append(Attempt(_NOBODY, lasted, None))
            went_on = f"attempt {len(attempts)} had been running for {lasted or 0:.3g} s"
        error.__dict__[_KEPT] = tuple(attempts)
        _chain(error, self._attempts)
        leave_policy_note(error, self._rules.name, f"{_counted(self._attempts)}; then it was ended while {went_on}")

    def _decide(self, error: Exception, now: float) -> float | str:
        """The wait before the next attempt, or why there is none."""
        rules = self._rules
        backoff = None if isinstance(error, NEVER_RETRIED) else rules.match(error)
        if backoff is None:
            return _OTHER_ERROR
        number = len(self._attempts) + 1
        if number >= rules.most:
            return "that was the last attempt"
        asked = asked_seconds(rules.said(error), self._here.clock)
        delay = max(backoff.delay(number, self._previous, self._here.randomness), asked)
        left = ambient_deadline.get() - now
        if delay >= left:
            return f"the next would begin in {delay:.3g} s, and only {max(left, 0):.3g} s are left"
        if self._tokens is not None and not self._tokens.take():
            return "the retry budget is used up"
        return delay

    def _blame(self, mistake: Exception, error: Exception) -> None:
        """A user's function failed: whoever reads of it also needs to know what the call itself failed of."""
        if mistake is not error:
            leave_note(
                mistake,
                f"{self._rules.name}: raised by one of the functions given to it, when {self._function} had failed "
                f"with {shown(error)}",
            )
            _chain(mistake, (Attempt(error, None, None),))

    def _lasted(self, now: float) -> float | None:
        return None if self._started is None else now - self._started

    def _give_up(self, error: Exception, now: float, because: str) -> None:
        if because is _OTHER_ERROR and not self._attempts:
            return  # an error like any other; nothing of us shows on it
        attempts = [*self._attempts, Attempt(error, self._lasted(now), None)]
        _keep(error, attempts)
        leave_policy_note(error, self._rules.name, f"{_counted(attempts)}; {because}")
        if because is not _OTHER_ERROR and self._tell is not None:
            self._tell(GaveUp(self._rules.name, self._function, len(attempts), because, error))


def hand_on_attempts(ended: BaseException, error: Exception) -> None:
    """Let an error have the attempts that stand on the cancellation in whose place it is raised."""
    kept = ended.__dict__.pop(_KEPT, None)
    if kept is not None:
        error.__dict__[_KEPT] = kept
        for note in ended.__dict__.pop("__notes__", ()):
            leave_note(error, note)


def _chain(error: BaseException, before: Sequence[Attempt]) -> None:
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
