"""Asks a second time when the first answer is slow to come, and takes whichever comes first."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

from insula.kernel.context import REAL_PROCESS
from insula.kernel.deadline import ambient_deadline
from insula.resilience.events import Listener
from insula.resilience.functions import Function, name_of
from insula.resilience.hedge_state import HedgeSnapshot, HedgeState
from insula.resilience.hedged_call import HedgedCall
from insula.resilience.parameters import Seconds, percent, seconds, share, whole
from insula.resilience.policy import PerProcess, Policy, Tell, running_process
from insula.resilience.retry_budget import RetryBudget

_BURST = 10.0


class Hedge(Policy):
    """Begins another attempt beside an async call that is slow, and returns the first answer.

    The others are cancelled, and have ended when the call returns. It is for slowness: once an attempt has failed no
    other begins, and if all that began fail, the first error is raised with the others noted on it. Every attempt runs
    in a task of its own; a `Rejection` is an answer.

    Parameters: `after_seconds`, how long to wait before each further attempt; or `after_percentile`, such as 95: as
    long as so many percent of the last 500 to 1,000 first attempts took (nothing is hedged before 100 are known);
    `idempotent`, True: nothing goes wrong if the call takes place twice; `attempts` in all (default 2); `budget`, the
    share of calls that may have another attempt (default 0.1, with ten saved for rare calls), or a `RetryBudget`, so
    that an outage does not double the load.
    No attempt begins with less time left until the ambient deadline than half of the calls take.
    Raises TypeError where it decorates a plain function.
    Source: J. Dean, L. A. Barroso, "The Tail at Scale", CACM 56(2), 2013.
    """

    def __init__(
        self,
        after_seconds: Seconds | None = None,
        *,
        idempotent: Literal[True],
        after_percentile: float | None = None,
        attempts: int = 2,
        budget: float | RetryBudget = 0.1,
        name: str | None = None,
        listener: Listener | None = None,
    ) -> None:
        super().__init__(name, listener)
        kind = type(self).__name__
        if idempotent is not True:
            raise ValueError(
                f"{kind}: idempotent={idempotent!r}: a hedged call may take place more than once, and a loser may have "
                "done its work; write idempotent=True if that does no harm, or use Retry or Timeout"
            )
        if (after_seconds is None) == (after_percentile is None):
            raise ValueError(f"{kind}: write either after_seconds=0.05 or after_percentile=95")
        self.attempts = whole(kind, "attempts", attempts, least=2)
        self.after_seconds = after = None if after_seconds is None else seconds(kind, "after_seconds", after_seconds)
        self.after_percentile = percentile = (
            None if after_percentile is None else percent(kind, "after_percentile", after_percentile)
        )
        self.budget = budget if isinstance(budget, RetryBudget) else _budget(kind, budget)
        self._states: PerProcess[HedgeState] = PerProcess(
            lambda: HedgeState(after, percentile, self.budget.tokens.current())
        )

    def wrap_sync(self, function: Function, tell: Tell | None) -> Function:
        """Refuse a plain function. Raises TypeError."""
        raise TypeError(
            f"{self.name}: {name_of(function)} is a plain function, and nothing can cancel one that lost; make it "
            "async, or use Timeout(..., on_thread=True) within a Retry"
        )

    def wrap_async(self, function: Function, tell: Tell | None) -> Function:
        """Begin further attempts beside one that is slow."""
        own, elsewhere = self._states.own, self._states.elsewhere

        async def hedged(*arguments: Any, **named: Any) -> Any:
            state = own if running_process() is REAL_PROCESS else elsewhere()
            began, after = state.begin(), state.after
            if after is not None and began + after < ambient_deadline.get():
                return await self._race(partial(function, *arguments, **named), state, began, after, tell)
            result = await function(*arguments, **named)
            state.observe(state.clock.monotonic() - began)
            return result

        return hedged

    async def _race(
        self, attempt: partial[Any], state: HedgeState, began: float, after: float, tell: Tell | None
    ) -> Any:
        from insula.resilience.race import Race

        call = HedgedCall(self.name, attempt.func, self.attempts, state, began, after, tell)
        race = Race(attempt, state.clock)
        race.begin(1)
        ended = None
        try:
            while True:
                ended = await race.next_end(call.due)
                if ended is None:
                    if call.another_begins():
                        race.begin(call.number)
                elif ended.failure is None:
                    call.answered(ended.number)
                    return ended.result()
                else:
                    call.failed(ended.number, ended.failure)
                    if not race.goes_on:
                        raise call.first_error()
        except GeneratorExit:
            race.abandon()
            raise
        finally:
            call.over()
            ended = None  # it has an error that came through this frame
            await race.end()

    def snapshot(self) -> HedgeSnapshot:
        """How the hedge is in this process."""
        return self._states.current().snapshot(self.name)


def _budget(kind: str, budget: float) -> RetryBudget:
    return RetryBudget(share(kind, "budget", budget), minimum_per_second=0.0, burst=_BURST)
