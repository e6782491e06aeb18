"""What a hedge decides in the course of one call. Nobody waits here."""

from __future__ import annotations

from insula.kernel.deadline import ambient_deadline
from insula.resilience.events import Hedged, HedgeSkipped, HedgeWon
from insula.resilience.functions import Function, name_of
from insula.resilience.hedge_state import HedgeState
from insula.resilience.notes import leave_policy_note, shown
from insula.resilience.policy import Tell


class HedgedCall:
    """One call, whose first attempt has begun.

    Parameters: `policy`, the name of the hedge; `function`, what is called; `most`, how many attempts in all; `state`,
    what the process knows; `began`, when the call did; `after`, how many seconds to wait before each further attempt.
    Fields: `number`, of the attempt that began last; `due`, when the next may begin, None if none does.
    """

    __slots__ = (
        "_after",
        "_answered",
        "_began",
        "_errors",
        "_function",
        "_most",
        "_policy",
        "_state",
        "_tell",
        "due",
        "number",
    )

    def __init__(
        self,
        policy: str,
        function: Function,
        most: int,
        state: HedgeState,
        began: float,
        after: float,
        tell: Tell | None,
    ) -> None:
        self._policy = policy
        self._function = function
        self._most = most
        self._state = state
        self._began = began
        self._after = after
        self._tell = tell
        self._errors: dict[int, Exception] = {}
        self._answered = False
        self.number = 1
        self.due: float | None = began + after

    def another_begins(self) -> bool:
        """Whether another attempt begins, now that it is due."""
        now, deadline = self._state.clock.monotonic(), ambient_deadline.get()
        because = self._state.why_not(deadline - now)
        if because is not None:
            self.due = None
            if self._tell is not None:
                self._tell(HedgeSkipped(self._policy, name_of(self._function), because))
            return False
        self.number += 1
        following = now + self._after
        self.due = following if self.number < self._most and following < deadline else None
        if self._tell is not None:
            self._tell(Hedged(self._policy, name_of(self._function), self.number, now - self._began))
        return True

    def answered(self, number: int) -> None:
        """An attempt has ended with a result or a rejection."""
        self._answered = True
        if number == 1:
            return
        self._state.count_win()
        if self._tell is not None:
            self._tell(
                HedgeWon(self._policy, name_of(self._function), number, self._state.clock.monotonic() - self._began)
            )

    def failed(self, number: int, error: Exception) -> None:
        """An attempt has failed: from here on, another one would be a retry."""
        self._errors[number] = error
        self.due = None

    def first_error(self) -> Exception:
        """The error of the attempt that failed first, now that all have; the others are noted on it."""
        (first, error), *others = self._errors.items()
        if others:
            told = "; ".join(f"attempt {number} failed too, {shown(each)}" for number, each in others)
            leave_policy_note(error, self._policy, f"attempt {first} failed first; {told}")
        return error

    def over(self) -> None:
        """The call ends: remember how long its first attempt took, or at least took, and forget its errors."""
        took = self._state.clock.monotonic() - self._began
        # Whatever became of it, a first attempt that was not done by then was slower than most, and a percentile asks
        # no more; without those that lose, nobody would ever be seen to be slow. A quick failure says nothing.
        if self._answered or took >= self._after:
            self._state.observe(took)
        self._errors.clear()
