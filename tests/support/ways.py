"""One case for plain and for async functions: a policy around a function that plays a script, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import copy_context
from typing import Any

from insula.resilience import Policy
from insula.testing import VirtualClock


class Script:
    """Plays one outcome at each call, the last one for ever: an error is raised, a number of seconds passes.

    Anything else is returned.
    """

    def __init__(self, *outcomes: Any) -> None:
        self.outcomes = list(outcomes)
        self.calls = 0

    def next(self) -> Any:
        self.calls += 1
        return self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]


def raised_or(outcome: Any) -> Any:
    """Raise an error, return anything else."""
    if isinstance(outcome, BaseException) or (isinstance(outcome, type) and issubclass(outcome, BaseException)):
        raise outcome
    return outcome


class Way:
    """Calls either a plain or an async function within policies."""

    def __init__(self, name: str, clock: VirtualClock) -> None:
        self.is_async = name == "async"
        self.clock = clock
        self.runner = asyncio.Runner()

    def wrap(self, policy: Policy, script: Script) -> Callable[[], Any]:
        """The script's function within a policy; to be called, and never awaited."""

        def plain() -> Any:
            outcome = script.next()
            if isinstance(outcome, float):
                self.clock.block(outcome)
            return raised_or(outcome)

        async def waiting() -> Any:
            outcome = script.next()
            await self.clock.sleep(outcome if isinstance(outcome, float) else 0)
            return raised_or(outcome)

        if not self.is_async:
            return policy(plain)
        wrapped = policy(waiting)
        return lambda: self.runner.run(self.clock.run(wrapped()), context=copy_context())

    def call(self, policy: Policy, script: Script) -> Any:
        return self.wrap(policy, script)()
