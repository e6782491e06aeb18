"""Bounds how many calls take place in a time, for all together or for each key."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from math import nextafter
from types import TracebackType
from typing import Any, Self

from insula.kernel.context import REAL_PROCESS
from insula.kernel.deadline import ambient_deadline
from insula.resilience.events import Listener, Refused, Waited
from insula.resilience.functions import PLAIN, Function, refuse_awaitable
from insula.resilience.holding import check_may_hold
from insula.resilience.parameters import Seconds, amount, plain_function, seconds, whole
from insula.resilience.policy import Machine, PerProcess, Policy, Tell, machine, running_process
from insula.resilience.rates import RateLimited, Rates, RateSnapshot


class RateLimiter(Policy):
    """At most `rate` calls in `per_seconds`, after a pause up to `burst` at once; more are refused with `RateLimited`.

    In any time of t seconds at most `burst + rate * t / per_seconds` calls begin. `RateLimiter(2, 60)` lets two calls
    through at once, and then one every thirty seconds. `with limiter:` and `async with limiter:` serve a block.

    Parameters: `rate`; `per_seconds` (default 1); `burst` (default: `rate`, at least 1); `key`, a function of the
    arguments of a call, whose results are limited each for itself (default: all calls together); `wait_seconds`, how
    long a call may wait for its turn (default 0: refused at once), never past the ambient deadline: a call that is
    cancelled while it waits has used its turn. `most_keys`, how many keys are remembered (default 100,000, about
    20 MB), in each process; those that have their full burst again are forgotten anyway. Where more are in use, the key
    whose last call is oldest is forgotten early and may so get more than its rate; the snapshot counts them.
    Source: the generic cell rate algorithm of ITU-T I.371, virtual scheduling.
    """

    def __init__(
        self,
        rate: float,
        per_seconds: Seconds = 1.0,
        burst: int | None = None,
        *,
        key: Callable[..., Hashable] | None = None,
        wait_seconds: Seconds = 0.0,
        most_keys: int = 100_000,
        name: str | None = None,
        listener: Listener | None = None,
    ) -> None:
        super().__init__(name, listener)
        kind = type(self).__name__
        if amount(kind, "rate", rate) == 0:
            raise ValueError(f"{kind}: rate={rate!r} lets nothing through; write more than 0")
        if key is not None:
            plain_function(kind, "key", key, "a function of the arguments of a call")
        at_once = whole(kind, "burst", max(1, int(rate)) if burst is None else burst)
        interval = seconds(kind, "per_seconds", per_seconds) / rate
        most = whole(kind, "most_keys", most_keys)
        self._key = key
        self._patience = seconds(kind, "wait_seconds", wait_seconds, zero=True)
        self.rates: PerProcess[Rates] = PerProcess(lambda: Rates(interval, (at_once - 1) * interval, most))

    def wrap_sync(self, function: Function, tell: Tell | None) -> Function:
        """Limit a plain function."""
        own, elsewhere, key = self.rates.own, self.rates.elsewhere, self._key

        def limited(*arguments: Any, **named: Any) -> Any:
            rates = own if running_process() is REAL_PROCESS else elsewhere()
            of = None if key is None else self._hashable(key(*arguments, **named))
            if rates.take(of):
                self._wait(rates, of, tell)
            result = function(*arguments, **named)
            if type(result) not in PLAIN:
                refuse_awaitable(self.name, function, result)
            return result

        return limited

    def wrap_async(self, function: Function, tell: Tell | None) -> Function:
        """Limit an async function."""
        own, elsewhere, key = self.rates.own, self.rates.elsewhere, self._key

        async def limited(*arguments: Any, **named: Any) -> Any:
            rates = own if running_process() is REAL_PROCESS else elsewhere()
            of = None if key is None else self._hashable(key(*arguments, **named))
            if rates.take(of):
                await self._wait_async(rates, of, tell)
            return await function(*arguments, **named)

        return limited

    def try_acquire(self, key: Hashable = None) -> bool:
        """Whether a call may take place now, which it then has to: it is counted. Never waits."""
        rates = self.rates.current()
        wait = rates.take(self._hashable(key))
        if not wait:
            return True
        self._refuse(rates, key, wait, self._own_tell)
        return False

    def retry_after(self, key: Hashable = None) -> float:
        """Seconds until a call may take place; zero if it may now."""
        return self.rates.current().wait_of(self._hashable(key))

    def __enter__(self) -> Self:
        rates = self._rates_of_block()
        if rates.take(None):
            self._wait(rates, None, self._own_tell)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    async def __aenter__(self) -> Self:
        rates = self._rates_of_block()
        if rates.take(None):
            await self._wait_async(rates, None, self._own_tell)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def snapshot(self) -> RateSnapshot:
        """How the limiter is in this process."""
        return self.rates.current().snapshot(self.name)

    def _rates_of_block(self) -> Rates:
        if self._key is not None:
            raise TypeError(f"{self.name}: a block has no arguments for key=; write `if limiter.try_acquire(key):`")
        return self.rates.current()

    def _hashable(self, key: Hashable) -> Hashable:
        try:
            hash(key)
        except TypeError as error:
            raise TypeError(f"{self.name}: the key {key!r} cannot be hashed; use a text, number or tuple") from error
        return key

    def _wait(self, rates: Rates, key: Hashable, tell: Tell | None) -> None:
        here = machine.current()
        wait = self._take_turn(here, rates, key, tell)
        if wait > 0:
            check_may_hold(self.name, wait)
            here.clock.block(wait)
            if tell is not None:
                tell(Waited(self.name, wait))

    async def _wait_async(self, rates: Rates, key: Hashable, tell: Tell | None) -> None:
        here = machine.current()
        wait = self._take_turn(here, rates, key, tell)
        if wait > 0:
            await here.clock.sleep(wait)
            if tell is not None:
                tell(Waited(self.name, wait))

    def _take_turn(self, here: Machine, rates: Rates, key: Hashable, tell: Tell | None) -> float:
        """How long to wait for the turn that is now taken. Raises `RateLimited` if that is too long."""
        left = ambient_deadline.get() - here.monotonic()
        patience = max(0.0, min(self._patience, nextafter(left, 0.0)))  # what begins at its deadline is of no use
        wait = rates.take(key, patience)
        if wait <= patience:
            return wait
        raise self._refuse(rates, key, wait, tell)

    def _refuse(self, rates: Rates, key: Hashable, wait: float, tell: Tell | None) -> RateLimited:
        rates.refuse()
        because = "too many calls" if key is None else f"too many calls for {key!r}"
        if tell is not None:
            tell(Refused(self.name, because, wait))
        return RateLimited(f"{self.name}: {because}; try again in {wait:.3g} s", retry_after=wait)
