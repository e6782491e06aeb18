"""Tries again what failed, with growing waits between."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, TypeAlias

from insula.kernel.clock import Clock
from insula.kernel.errors import Rejection
from insula.resilience.attempts import Attempts, Match
from insula.resilience.backoff import AnyBackoff, Backoff, ExponentialBackoff, backoff_of
from insula.resilience.events import Listener
from insula.resilience.parameters import ErrorClasses, error_classes, whole
from insula.resilience.policy import Function, Machine, Policy, Tell, machine, name_of
from insula.resilience.retry_budget import RetryBudget, Tokens

Rules: TypeAlias = list[tuple[tuple[type[Exception], ...], Backoff]]
Errors: TypeAlias = ErrorClasses | Callable[[Exception], bool] | Mapping[type[Exception], AnyBackoff]


class Retry(Policy):
    """Tries again after errors that may pass.

    `Retry(on=ConnectionError)` decorates a function; `for attempt in retry: with attempt: ...` serves a block
    (`async for` in async code).

    Parameters: `on`, what to retry: a class of errors, several, a function of the error to bool, or a mapping of
    classes to the backoff for each (the first that fits counts); `attempts` in all (default 3); `backoff` between them
    (default `ExponentialBackoff()`): a rule or a function of the attempt's number to seconds; an error's `retry_after`
    is waited for at least; `budget`, how many retries the process affords (default: no limit).
    Raises the last error itself: `attempts_of(error)` has all of them, and a note in its traceback says why no attempt
    followed. Never retries a `Rejection`. Gives up at once if the ambient deadline comes before the next attempt.
    """

    def __init__(
        self,
        on: Errors,
        attempts: int = 3,
        backoff: AnyBackoff | None = None,
        *,
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
        if callable(on) and not isinstance(on, type):
            rules: Rules = [((), wait)]
            self._match: Match = _by_predicate(on, wait)
        else:
            rules = _rules(kind, on, wait)
            self._match = _matching(rules)
        self.on = tuple(each for classes, _ in rules for each in classes)
        self.backoffs = tuple(each for _, each in rules)

    def backoff_for(self, error: Exception) -> Backoff | None:
        """The rule for waiting after an error; None if it is not one to retry."""
        return None if isinstance(error, Rejection) else self._match(error)

    def wrap_sync(self, function: Function, tell: Tell | None) -> Function:
        """Try again, holding the thread between attempts."""
        budget, timed = self.budget, tell is not None  # reading the clock would cost half of all the rest

        def retried(*arguments: Any, **named: Any) -> Any:
            if budget is not None:
                budget.tokens.current().count_call()
            started = machine.current().monotonic() if timed else None
            try:
                return function(*arguments, **named)
            except Exception as error:
                here = machine.current()
                attempts = self._attempts(here, name_of(function), tell, started)
                delay = attempts.delay_after(error)
                if delay is None:
                    raise
            try:
                while True:
                    here.clock.block(delay)
                    attempts.begin()
                    try:
                        return function(*arguments, **named)
                    except Exception as error:
                        delay = attempts.delay_after(error)
                        if delay is None:
                            raise
            finally:
                del attempts  # its errors hold this frame

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
        finally:
            del attempts, error  # they hold this frame

    def __iter__(self) -> Iterator[Block]:
        """`for attempt in retry: with attempt: ...`."""
        here = machine.current()
        attempts = self._block_attempts(here)
        while True:
            block = Block(attempts)
            yield block
            if block.delay is None:
                return
            here.clock.block(block.delay)
            attempts.begin()

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
        return Attempts(
            self.name, function, self.attempts, self._match, here.monotonic, here.randomness, tokens, tell, started
        )


class Block:
    """One attempt at a block of code: `with attempt:` swallows an error after which another attempt follows."""

    __slots__ = ("_attempts", "delay")

    def __init__(self, attempts: Attempts) -> None:
        self._attempts = attempts
        self.delay: float | None = None

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if isinstance(error, Exception):
            self.delay = self._attempts.delay_after(error)
        return self.delay is not None


class AsyncBlocks:
    """The attempts at a block of async code; no generator, since one that is left early needs a task to close it."""

    __slots__ = ("_attempts", "_block", "_clock")

    def __init__(self, clock: Clock, attempts: Attempts) -> None:
        self._clock = clock
        self._attempts = attempts
        self._block: Block | None = None

    def __aiter__(self) -> AsyncBlocks:
        return self

    async def __anext__(self) -> Block:
        if self._block is not None:
            if self._block.delay is None:
                raise StopAsyncIteration
            await self._clock.sleep(self._block.delay)
            self._attempts.begin()
        self._block = Block(self._attempts)
        return self._block


def _by_predicate(predicate: Callable[[Exception], bool], backoff: Backoff) -> Match:
    return lambda error: backoff if predicate(error) else None


def _rules(kind: str, on: object, backoff: Backoff) -> Rules:
    """Classes of errors, each with its backoff."""
    if isinstance(on, Mapping):
        rules = [(error_classes(kind, "on", each), backoff_of(kind, rule)) for each, rule in on.items()]
    else:
        rules = [(error_classes(kind, "on", on), backoff)]
    if not any(classes for classes, _ in rules):
        raise ValueError(f"{kind}: on= is empty; write such as on=ConnectionError")
    return rules


def _matching(rules: Rules) -> Match:
    if len(rules) > 1:
        return lambda error: next((rule for classes, rule in rules if isinstance(error, classes)), None)
    ((classes, backoff),) = rules
    return lambda error: backoff if isinstance(error, classes) else None
