"""Makes calls slow and lets them fail on purpose, to see what the policies around them do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from insula.resilience.events import Injected, Listener
from insula.resilience.functions import PLAIN, Function, name_of, refuse_awaitable
from insula.resilience.parameters import Seconds, plain_function, seconds, share, user_function
from insula.resilience.policy import Policy, Tell, machine

Rule = Callable[..., bool]


class Chaos(Policy):
    """Delays some calls, lets them fail, or both. Off unless it is told otherwise; the innermost policy of a pipeline.

    A call that is struck first waits, then fails without having taken place. Chance is that of the process, and so the
    same again for the same seed. Where `enabled` or `when` raise, nothing is struck, and the error is logged.

    Parameters: `when`, the share of calls that are struck, or a function of the call's arguments to bool;
    `latency_seconds`, how long such a call waits (default: not at all); `error`, a class of errors or a function
    without parameters that makes one, a `Rejection` too (default: the call takes place); `enabled`, a bool or a
    function without parameters that says it at each call, such as a flag (default False).
    Source: A. Basiri et al., "Chaos Engineering", IEEE Software, 2016.
    """

    def __init__(
        self,
        when: float | Rule,
        *,
        latency_seconds: Seconds = 0.0,
        error: Callable[[], Exception] | None = None,
        enabled: bool | Callable[[], bool] = False,
        name: str | None = None,
        listener: Listener | None = None,
    ) -> None:
        super().__init__(name, listener)
        kind = type(self).__name__
        self.latency_seconds = seconds(kind, "latency_seconds", latency_seconds, zero=True)
        if not self.latency_seconds and error is None:
            raise ValueError(f"{kind}: neither latency_seconds= nor error= is given, so that nothing would happen")
        if not isinstance(enabled, bool):
            user_function(kind, "enabled", enabled, "a bool, or a function without parameters that returns one")
        self.enabled = enabled
        self._error = None if error is None else _maker(kind, error)
        self._share = None if callable(when) and not isinstance(when, type) else share(kind, "when", when)  # type: ignore[arg-type]
        self._rule: Rule = self._by_chance
        if self._share is None:
            self._rule = plain_function(kind, "when", when, "a share, or a function of the arguments of a call to bool")

    def _by_chance(self, *arguments: Any, **named: Any) -> bool:
        return machine.current().randomness.random() < self._share  # type: ignore[operator]

    def _strikes(self, arguments: Any, named: Any) -> bool:
        """Whether this call is struck; chaos does no harm of which nobody has asked."""
        try:
            return bool(
                (self.enabled is True or (callable(self.enabled) and self.enabled()))
                and self._rule(*arguments, **named)
            )
        except Exception:
            import logging

            logging.getLogger("insula.resilience").exception("%s: strikes nothing", self.name)
            return False

    def _fault(self, function: Function, tell: Tell | None) -> Exception | None:
        error = None if self._error is None else self._error()
        if error is not None and not isinstance(error, Exception):
            raise TypeError(f"{self.name}: error= made {error!r}, which is no Exception")
        if tell is not None:
            tell(Injected(self.name, name_of(function), self.latency_seconds, error))
        return error

    def wrap_sync(self, function: Function, tell: Tell | None) -> Function:
        """Strike a plain function; the wait holds its thread."""

        def struck(*arguments: Any, **named: Any) -> Any:
            if self.enabled and self._strikes(arguments, named):
                error = self._fault(function, tell)
                if self.latency_seconds:
                    machine.current().clock.block(self.latency_seconds)
                if error is not None:
                    try:
                        raise error
                    finally:
                        del error
            result = function(*arguments, **named)
            if type(result) not in PLAIN:
                refuse_awaitable(self.name, function, result)
            return result

        return struck

    def wrap_async(self, function: Function, tell: Tell | None) -> Function:
        """Strike an async function."""

        async def struck(*arguments: Any, **named: Any) -> Any:
            if self.enabled and self._strikes(arguments, named):
                error = self._fault(function, tell)
                if self.latency_seconds:
                    await machine.current().clock.sleep(self.latency_seconds)
                if error is not None:
                    try:
                        raise error
                    finally:
                        del error
            return await function(*arguments, **named)

        return struck


def _maker(kind: str, error: object) -> Callable[[], Exception]:
    """What makes a new error for each call: one that many calls raise would gather the tracebacks of all."""
    if isinstance(error, BaseException) or not callable(error):
        raise TypeError(
            f"{kind}: error={error!r} would be the same one for every call; write a class, or error=lambda: {error!r}"
        )
    if isinstance(error, type):
        if not issubclass(error, Exception):
            raise TypeError(
                f"{kind}: error={error.__name__} is no class of Exception; write such as error=ConnectionError"
            )
        try:
            error()
        except TypeError as wrong:
            raise TypeError(
                f"{kind}: error={error.__name__} needs arguments; write error=lambda: {error.__name__}(...)"
            ) from wrong
    else:
        user_function(kind, "error", error, "a class, or a function without parameters that makes a new error")
    return error
