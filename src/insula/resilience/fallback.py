"""Answers in place of what failed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from inspect import isawaitable
from typing import Any

from insula.kernel.errors import Rejection
from insula.resilience.error_rules import Errors, error_rule
from insula.resilience.events import FellBack, Listener
from insula.resilience.functions import PLAIN, Function, Misused, is_async, name_of, refuse_awaitable
from insula.resilience.parameters import check_arguments
from insula.resilience.policy import Policy, Tell

_CHANGEABLE = (list, dict, set, bytearray, deque)


class Fallback(Policy):
    """Returns a value, or what a function makes of the error, where a call failed.

    Parameters: `answer`, the value, or a function that is given the error and returns the value; around async code it
    may be async. It may raise the error again, or another. `on`, the errors that it answers, as for `Retry`: classes,
    or a function of the error to bool (default: every `Exception`). Never answers a `Rejection`, which is an answer
    itself, nor a cancellation.
    Raises TypeError, when it decorates a plain function, if `answer` is async.
    """

    def __init__(
        self,
        answer: object,
        *,
        on: Errors = Exception,
        name: str | None = None,
        listener: Listener | None = None,
    ) -> None:
        super().__init__(name, listener)
        kind = type(self).__name__
        if isinstance(answer, type):
            raise TypeError(
                f"{kind}: answer={answer.__name__} is a class; write Fallback(lambda error: ...) to make one"
            )
        if isinstance(answer, _CHANGEABLE):
            raise TypeError(
                f"{kind}: answer={answer!r} could be changed by one caller, and every other has the same; write "
                f"Fallback(lambda error: {answer!r})"
            )
        self._rule = error_rule(kind, on)
        self.on = self._rule.classes
        if callable(answer):
            check_arguments(kind, "answer", answer, "a value, or a function of the error", "an error")
        self._is_async = callable(answer) and is_async(answer)
        self._answer: Callable[[Exception], Any] = answer if callable(answer) else lambda _: answer

    def answers(self, error: Exception) -> bool:
        """Whether it answers in place of this error."""
        return (
            isinstance(error, self._rule.caught)
            and not isinstance(error, (Rejection, Misused))
            and self._rule.matches(error)
        )

    def wrap_sync(self, function: Function, tell: Tell | None) -> Function:
        """Answer in place of a plain function. Raises TypeError if the answer has to be awaited."""
        if self._is_async:
            raise TypeError(
                f"{self.name}: {name_of(function)} is a plain function, and the answer {name_of(self._answer)} is "
                "async; make both plain, or both async"
            )
        caught, answers, answer = self._rule.caught, self.answers, self._answer

        def answered(*arguments: Any, **named: Any) -> Any:
            try:
                result = function(*arguments, **named)
            except caught as error:
                if not answers(error):
                    raise
                if tell is not None:
                    tell(FellBack(self.name, name_of(function), error))
                result = answer(error)
                if type(result) not in PLAIN:
                    refuse_awaitable(self.name, answer, result)
                return result
            if type(result) not in PLAIN:
                refuse_awaitable(self.name, function, result)
            return result

        return answered

    def wrap_async(self, function: Function, tell: Tell | None) -> Function:
        """Answer in place of an async function; the answer may be async or not."""
        caught, answers, answer = self._rule.caught, self.answers, self._answer

        async def answered(*arguments: Any, **named: Any) -> Any:
            try:
                return await function(*arguments, **named)
            except caught as error:
                if not answers(error):
                    raise
                if tell is not None:
                    tell(FellBack(self.name, name_of(function), error))
                # A lambda around an async function is none itself.
                return await given if isawaitable(given := answer(error)) else given

        return answered
