"""Tries again what failed, with growing waits between."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any, TypeAlias

from insula.resilience.asked_waits import AskedWait, said_by, said_by_either
from insula.resilience.attempts import NEVER_RETRIED, Attempts, Match, RetryRules, on_thread
from insula.resilience.backoff import AnyBackoff, Backoff, ExponentialBackoff, backoff_of
from insula.resilience.error_rules import ErrorRule, Errors, error_rule
from insula.resilience.events import Listener
from insula.resilience.functions import PLAIN, Function, name_of, refuse_awaitable
from insula.resilience.holding import check_may_hold
from insula.resilience.parameters import user_function, whole
from insula.resilience.policy import Machine, Policy, Tell, machine
from insula.resilience.retry_blocks import AsyncBlocks, Block, blocks
from insula.resilience.retry_budget import RetryBudget, Tokens

Rules: TypeAlias = list[tuple[ErrorRule, Backoff]]
RetriedErrors: TypeAlias = Errors | Mapping[type[Exception], AnyBackoff]


class Retry(Policy):
    """Tries again after errors that may pass.

    `Retry(on=ConnectionError)` decorates a function; `for attempt in retry: with attempt: ...` serves a block
    (`async for` in async code).

    Parameters: `on`, what to retry: a class of errors, several, a function of the error to bool, or a mapping of
    classes to the backoff for each (the first that fits counts); `attempts` in all (default 3); `backoff` between them
    (default `ExponentialBackoff()`): a rule or a function of the attempt's number to seconds; `retry_after`, a function
    of the error to how long it asks to wait: seconds, a timedelta, a moment, the text of a Retry-After header, or None
    (default: its own `retry_after`); so long is waited at least; `budget`, how many retries the process affords
    (default: no limit).
    Raises the last error itself: `attempts_of(error)` has all of them, and a note in its traceback says why no attempt
    followed. Never retries a `Rejection`. Gives up at once if the ambient deadline comes before the next attempt.
    """

    _instead_of_with = "write `for attempt in retry:` (or `async for`), and within it `with attempt:`"

    def __init__(
        self,
        on: RetriedErrors,
        attempts: int = 3,
        backoff: AnyBackoff | None = None,
        *,
        retry_after: Callable[[Exception], AskedWait] | None = None,
        budget: RetryBudget | None = None,
        name: str | None = None,
        listener: Listener | None = None,
    ) -> None:
        super().__init__(name, listener)
        kind = type(self).__name__
        if isinstance(on, Mapping) and backoff is not None:
            raise ValueError(f"{kind}: on= gives a backoff for each class, backoff= one for all; write one")
        if budget is not None and not isinstance(budget, RetryBudget):
            raise TypeError(f"{kind}: budget={budget!r} is none; write budget=RetryBudget(ratio=0.2)")
        self.attempts = whole(kind, "attempts", attempts)
        self.budget = budget
        wait = ExponentialBackoff() if backoff is None else backoff_of(kind, backoff)
        if retry_after is not None:
            user_function(
                kind, "retry_after", retry_after, "a function of the error to how long it asks to wait", "an error"
            )
        rules = _rules(kind, on, wait)
        match = _matching(rules)
        self.on = tuple(each for rule, _ in rules for each in rule.classes)
        self.backoffs = tuple(each for _, each in rules)
        self._rules = RetryRules(
            self.name, self.attempts, match, said_by if retry_after is None else said_by_either(retry_after)
        )

    def backoff_for(self, error: Exception) -> Backoff | None:
        """The rule for waiting after an error; None if it is not one to retry."""
        return None if isinstance(error, NEVER_RETRIED) else self._rules.match(error)

    def wrap_sync(self, function: Function, tell: Tell | None) -> Function:
        """Try again, holding the thread between attempts."""
        budget, timed = self.budget, tell is not None  # reading the clock would cost half of all the rest

        def retried(*arguments: Any, **named: Any) -> Any:
            if budget is not None:
                budget.tokens.current().count_call()
            started = machine.current().monotonic() if timed else None
            try:
                result = function(*arguments, **named)
            except Exception as error:
                failed = error
            else:
                if type(result) not in PLAIN:
                    refuse_awaitable(self.name, function, result)
                return result
            try:
                return self._again_sync(failed, started, tell, function, arguments, named)
            finally:
                del failed  # it holds this frame

        return retried

    def wrap_async(self, function: Function, tell: Tell | None) -> Function:
        """Try again, giving other tasks their turn between attempts."""
        budget, timed = self.budget, tell is not None  # reading the clock would cost half of all the rest

        async def retried(*arguments: Any, **named: Any) -> Any:
            if budget is not None:
                budget.tokens.current().count_call()
            started = machine.current().monotonic() if timed else None
            try:
                return await function(*arguments, **named)
            except Exception as error:
                failed = error
            try:
                return await self.again(failed, started, tell, function, arguments, named)
            finally:
                del failed  # it holds this frame

        return retried

    def _again_sync(
        self, error: Exception, started: float | None, tell: Tell | None, function: Function, arguments: Any, named: Any
    ) -> Any:
        here = machine.current()
        attempts = self._attempts(here, name_of(function), tell, started)
        if (known := on_thread.get()) is not None:
            known.append(attempts)
        try:
            while (delay := attempts.delay_after(error)) is not None:
                check_may_hold(self.name, delay, error)
                here.clock.block(delay)
                attempts.begin()
                try:
                    result = function(*arguments, **named)
                except Exception as failed:
                    error = failed
                else:
                    refuse_awaitable(self.name, function, result)
                    return result
            raise error
        except BaseException as ended:
            attempts.interrupted(ended)
            raise
        finally:
            if known is not None:
                known.remove(attempts)
            del attempts, error  # they hold this frame

    async def again(
        self, error: Exception, started: float | None, tell: Tell | None, function: Function, arguments: Any, named: Any
    ) -> Any:
        """Go on after a first attempt, begun at `started`, which failed with that error."""
        here = machine.current()
        attempts = self._attempts(here, name_of(function), tell, started)
        try:
            while (delay := attempts.delay_after(error)) is not None:
                await here.clock.sleep(delay)
                attempts.begin()
                try:
                    return await function(*arguments, **named)
                except Exception as failed:
                    error = failed
            raise error
        except BaseException as ended:
            attempts.interrupted(ended)
            raise
        finally:
            del attempts, error  # they hold this frame

    def __iter__(self) -> Iterator[Block]:
        """`for attempt in retry: with attempt: ...`."""
        here = machine.current()
        return blocks(self.name, here.clock, self._block_attempts(here))

    def __aiter__(self) -> AsyncIterator[Block]:
        """`async for attempt in retry: with attempt: ...`."""
        here = machine.current()
        return AsyncBlocks(here.clock, self._block_attempts(here))

    def _block_attempts(self, here: Machine) -> Attempts:
        if self.budget is not None:
            self.budget.tokens.current().count_call()
        return self._attempts(here, "a block", self._own_tell, here.monotonic())

    def _attempts(self, here: Machine, function: str, tell: Tell | None, started: float | None) -> Attempts:
        tokens: Tokens | None = None if self.budget is None else self.budget.tokens.current()
        return Attempts(self._rules, function, here, tokens, tell, started)


def _rules(kind: str, on: RetriedErrors, backoff: Backoff) -> Rules:
    """Which errors, each with its backoff."""
    if not isinstance(on, Mapping):
        return [(error_rule(kind, on), backoff)]
    if not on:
        raise ValueError(f"{kind}: on= is empty; write such as on=ConnectionError")
    return [(error_rule(kind, each), backoff_of(kind, rule)) for each, rule in on.items()]


def _matching(rules: Rules) -> Match:
    return lambda error: next((backoff for rule, backoff in rules if rule.matches(error)), None)
