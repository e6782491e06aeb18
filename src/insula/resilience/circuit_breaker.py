"""Stops calling what fails, and finds out with a few probes when it works again."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from math import inf
from types import TracebackType
from typing import Any, Self

from insula.kernel.context import REAL_PROCESS
from insula.kernel.errors import Rejection
from insula.resilience.circuit import Circuit, CircuitSnapshot, SharedVerdicts
from insula.resilience.circuit_states import CircuitRules, Forced, Verdict
from insula.resilience.entered import Entered
from insula.resilience.entrance import BulkheadFull
from insula.resilience.error_rules import Errors, error_rule
from insula.resilience.events import Listener
from insula.resilience.functions import PLAIN, Function, Misused, refuse_awaitable
from insula.resilience.keyed_circuits import KeyedCircuits
from insula.resilience.parameters import ErrorClasses, Seconds, error_classes, plain_function, seconds, share, whole
from insula.resilience.policy import PerProcess, Policy, Tell, running_process
from insula.resilience.rates import RateLimited
from insula.resilience.threads import ThreadsBusy
from insula.resilience.timeout import TimedOut

_OUR_OWN = (BulkheadFull, RateLimited, ThreadsBusy)
_SUCCESS, _FAILURE, _NEITHER = Verdict.SUCCESS, Verdict.FAILURE, Verdict.NEITHER


class CircuitBreaker(Policy):
    """Refuses calls with `CircuitOpen` while what they call keeps failing.

    Closed, it lets calls pass and watches them; open, it refuses all for `open_seconds`; half-open, it lets exactly
    `probes` through however many come at once: all must succeed to close it, one that fails opens it again.
    One breaker serves tasks and threads at once. `with breaker:` and `async with breaker:` serve a block.

    Parameters: `failure_threshold`, opens after so many failures in a row (default 5); or, instead, `failure_rate`
    and/or `slow_rate` with `slow_seconds`, shares of the last `window_calls` (default 100) or of the calls of the last
    `window_seconds`, once there are `minimum_calls` (default 10); a call that is slow counts while it still runs.
    `open_seconds` (default 30), doubled each time a probe fails up to `longest_open_seconds` (default: never);
    `probes` (default 1); `probe_seconds`, after which one that has not come back makes room (default `open_seconds`);
    `on`, the errors that are failures (default all), as for `Retry`: classes, or a function of the error to bool (where
    it fails, which is logged, the error counts); `excluding` some; every other error, and a `Rejection`, is an answer
    and so a success. Neither is a cancelled call, one that a `Bulkhead`, a `RateLimiter` or busy threads within refused
    (unless `on` names the class of that refusal), and one that did not begin since its caller had no time left.
    `shadow` watches and tells and refuses nothing; `key`, a function of the arguments of a call, whose results have a
    circuit each (default: one for all calls), which events and errors name; `most_keys`, how many of them are kept in
    each process (default 1,000): of more, one that has nothing to remember is forgotten, or else an old one;
    `shared`, what other processes of the service have seen (default: nobody asks them).
    Source: M. Nygard, "Release It!", 2007.
    """

    def __init__(
        self,
        failure_threshold: int | None = None,
        open_seconds: Seconds = 30.0,
        probes: int = 1,
        *,
        failure_rate: float | None = None,
        slow_rate: float | None = None,
        slow_seconds: Seconds | None = None,
        window_calls: int | None = None,
        window_seconds: Seconds | None = None,
        minimum_calls: int | None = None,
        longest_open_seconds: Seconds | None = None,
        probe_seconds: Seconds | None = None,
        on: Errors = Exception,
        excluding: ErrorClasses = (),
        shadow: bool = False,
        key: Callable[..., Hashable] | None = None,
        most_keys: int = 1_000,
        shared: SharedVerdicts | None = None,
        name: str | None = None,
        listener: Listener | None = None,
    ) -> None:
        super().__init__(name, listener)
        kind = type(self).__name__
        opens = seconds(kind, "open_seconds", open_seconds)
        longest = opens if longest_open_seconds is None else seconds(kind, "longest_open_seconds", longest_open_seconds)
        if longest < opens:
            raise ValueError(f"{kind}: longest_open_seconds={longest:g} is below open_seconds={opens:g}; write more")
        by_rate = failure_rate is not None or slow_rate is not None
        _check_combination(
            kind, failure_threshold=failure_threshold, by_rate=by_rate, slow_rate=slow_rate, slow_seconds=slow_seconds,
            window_calls=window_calls, window_seconds=window_seconds, minimum_calls=minimum_calls,
        )  # fmt: skip
        least, size = _window_size(kind, minimum_calls, window_calls)
        self.rules = rules = CircuitRules(
            failure_threshold=None
            if by_rate
            else whole(kind, "failure_threshold", 5 if failure_threshold is None else failure_threshold),
            failure_rate=None if failure_rate is None else share(kind, "failure_rate", failure_rate),
            slow_rate=None if slow_rate is None else share(kind, "slow_rate", slow_rate),
            slow_seconds=inf if slow_seconds is None else seconds(kind, "slow_seconds", slow_seconds),
            window_calls=size,
            window_seconds=None if window_seconds is None else seconds(kind, "window_seconds", window_seconds),
            minimum_calls=least,
            open_seconds=opens,
            longest_open_seconds=longest,
            probes=whole(kind, "probes", probes),
            probe_seconds=opens if probe_seconds is None else seconds(kind, "probe_seconds", probe_seconds),
            asks_others=shared is not None,
        )
        self.shadow = shadow
        self.failures = error_rule(kind, on)
        self.on = self.failures.classes
        self._answers: tuple[type[Exception], ...] = (Rejection, *error_classes(kind, "excluding", excluding))
        self.circuits: PerProcess[Circuit] = PerProcess(lambda: Circuit(self.name, rules, shadow=shadow, shared=shared))
        self.key = None if key is None else plain_function(kind, "key", key, "a function of the arguments of a call")
        most = whole(kind, "most_keys", most_keys)

        def of_key(key: Hashable) -> Circuit:
            return Circuit(f"{self.name} for {key!r}", rules, shadow=shadow, shared=shared)

        self._by_key: PerProcess[KeyedCircuits] = PerProcess(lambda: KeyedCircuits(self.name, of_key, most))

    def verdict(self, error: BaseException) -> Verdict:
        """What an error says about the callee."""
        if not isinstance(error, Exception) or isinstance(error, Misused):
            return _NEITHER
        if isinstance(error, _OUR_OWN) and type(error) not in self.on:
            return _NEITHER  # the callee was never called
        if isinstance(error, TimedOut) and not error.began:
            return _NEITHER  # nor here, whatever `on` says: its caller came too late
        if isinstance(error, self._answers) or not self._counts(error):
            return _SUCCESS
        return _FAILURE

    def _counts(self, error: Exception) -> bool:
        try:
            return self.failures.matches(error)
        except Exception:
            import logging

            logging.getLogger("insula.resilience").exception("%s: on= failed, so that %r counts", self.name, error)
            return True

    def wrap_sync(self, function: Function, tell: Tell | None) -> Function:
        """Watch a plain function."""
        if self.key is not None:
            return self._wrap_keyed(function, tell, self.key)
        own, elsewhere, verdict = self.circuits.own, self.circuits.elsewhere, self.verdict

        def guarded(*arguments: Any, **named: Any) -> Any:
            circuit = own if running_process() is REAL_PROCESS else elsewhere()
            state, number = circuit.state, 0
            if not state.calm:
                state, number = circuit.admit(tell)
            try:
                result = function(*arguments, **named)
            except BaseException as error:
                circuit.settle(state, number, verdict(error), tell)
                raise
            if not state.calm:
                circuit.settle(state, number, _SUCCESS, tell)
            if type(result) not in PLAIN:
                refuse_awaitable(self.name, function, result)
            return result

        return guarded

    def wrap_async(self, function: Function, tell: Tell | None) -> Function:
        """Watch an async function."""
        if self.key is not None:
            return self._wrap_keyed_async(function, tell, self.key)
        own, elsewhere, verdict = self.circuits.own, self.circuits.elsewhere, self.verdict

        async def guarded(*arguments: Any, **named: Any) -> Any:
            circuit = own if running_process() is REAL_PROCESS else elsewhere()
            state, number = circuit.state, 0
            if not state.calm:
                state, number = circuit.admit(tell)
            try:
                result = await function(*arguments, **named)
            except BaseException as error:
                circuit.settle(state, number, verdict(error), tell)
                raise
            if not state.calm:
                circuit.settle(state, number, _SUCCESS, tell)
            return result

        return guarded

    def _wrap_keyed(self, function: Function, tell: Tell | None, key: Callable[..., Hashable]) -> Function:
        def guarded(*arguments: Any, **named: Any) -> Any:
            circuit = self._by_key.current().of(key(*arguments, **named))
            state, number = circuit.admit(tell)
            try:
                result = function(*arguments, **named)
                refuse_awaitable(self.name, function, result)
            except BaseException as error:
                circuit.settle(state, number, self.verdict(error), tell)
                raise
            circuit.settle(state, number, _SUCCESS, tell)
            return result

        return guarded

    def _wrap_keyed_async(self, function: Function, tell: Tell | None, key: Callable[..., Hashable]) -> Function:
        async def guarded(*arguments: Any, **named: Any) -> Any:
            circuit = self._by_key.current().of(key(*arguments, **named))
            state, number = circuit.admit(tell)
            try:
                result = await function(*arguments, **named)
            except BaseException as error:
                circuit.settle(state, number, self.verdict(error), tell)
                raise
            circuit.settle(state, number, _SUCCESS, tell)
            return result

        return guarded

    def _circuit(self, key: Hashable) -> Circuit:
        return self.circuits.current() if self.key is None else self._by_key.current().of(key)

    def __enter__(self) -> Self:
        if self.key is not None:
            raise TypeError(f"{self.name}: a block has no arguments for key=; decorate a function, or write `call`")
        circuit = self.circuits.current()
        Entered.push(self, (circuit, *circuit.admit(self._own_tell)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        entered = Entered.pop(self)
        if entered is None:
            return
        circuit, state, number = entered
        circuit.settle(state, number, _SUCCESS if error is None else self.verdict(error), self._own_tell)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def snapshot(self, key: Hashable = None) -> CircuitSnapshot:
        """How the breaker is in this process."""
        return self._circuit(key).snapshot()

    def force_open(self, key: Hashable = None) -> None:
        """Refuse every call in this process until `reset`."""
        self._circuit(key).force(Forced(is_open=True), self._own_tell)

    def force_closed(self, key: Hashable = None) -> None:
        """Let every call through in this process until `reset`."""
        self._circuit(key).force(Forced(is_open=False), self._own_tell)

    def reset(self, key: Hashable = None) -> None:
        """Close it and forget what was seen in this process."""
        self._circuit(key).force(None, self._own_tell)


def _check_combination(
    kind: str, *, failure_threshold: object, by_rate: bool, slow_rate: object, slow_seconds: object, **window: object
) -> None:
    if by_rate and failure_threshold is not None:
        raise ValueError(f"{kind}: failure_threshold= counts failures in a row, and rates look at a window; write one")
    if (slow_rate is None) != (slow_seconds is None):
        raise ValueError(f"{kind}: slow_rate= and slow_seconds= need each other; write both, or neither")
    given = [name for name, value in window.items() if value is not None]
    if given and not by_rate:
        raise ValueError(f"{kind}: {given[0]}= belongs to a window; write failure_rate= or slow_rate= with it")
    if window["window_calls"] is not None and window["window_seconds"] is not None:
        raise ValueError(f"{kind}: window_calls= and window_seconds= are two kinds of window; write one")


def _window_size(kind: str, minimum_calls: int | None, window_calls: int | None) -> tuple[int, int]:
    size = 100 if window_calls is None else whole(kind, "window_calls", window_calls)
    least = min(10, size) if minimum_calls is None else whole(kind, "minimum_calls", minimum_calls)
    if least > size and window_calls is not None:
        raise ValueError(f"{kind}: minimum_calls={least} never fit into window_calls={size}; write fewer")
    return least, size
