"""Systems outside: the adapters bound to a module's ports, slow, failing before or after the effect, saying no."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from insula.simulation.machine.process import SimulatedProcess


class DependencyFailed(ConnectionError):
    """A simulated failure of a system outside; whether it did what was asked is not known."""


class Outside:
    """Stands before an adapter and lets its calls go wrong.

    Parameters: `process`, in which it is called; `port`, the type that handlers ask for; `adapter`, who does the work;
    `refusals`, exceptions by which it may say no.
    """

    def __init__(self, process: SimulatedProcess, port: type, adapter: Any, refusals: Sequence[Exception] = ()) -> None:
        self._process = process
        self._port = port.__name__
        self._adapter = adapter
        self._refusals = refusals

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._adapter, name)
        if not callable(member):
            return member
        if inspect.iscoroutinefunction(member):
            return self._awaited(name, member)
        return self._direct(name, member)

    def __call__(self, *args: Any, **options: Any) -> Any:
        """For a port that is called itself."""
        return self.__getattr__("__call__")(*args, **options)

    def _awaited(self, name: str, member: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(member)
        async def call(*args: Any, **options: Any) -> Any:
            what = self._what(name)
            seconds = self._process.world.fault("slow-dependency", what)
            if seconds is not None:
                self._record("slow-dependency", f"{what} for {seconds:g} s", what)
                await asyncio.sleep(seconds)
            failing = self._before(what, asked := f"{self._port}.{name}{args!r}{options!r}")
            answer = await member(*args, **options)
            self._after(what, asked, failing)
            await self._process.boundary(f"after {what}")
            return answer

        return call

    def _direct(self, name: str, member: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(member)
        def call(*args: Any, **options: Any) -> Any:
            what = self._what(name)
            failing = self._before(what, asked := f"{self._port}.{name}{args!r}{options!r}")
            answer = member(*args, **options)
            self._after(what, asked, failing)
            return answer

        return call

    def _what(self, name: str) -> str:
        return self._process.world.choices.number(f"{self._process.name} calls {self._port}.{name}")

    def _record(self, kind: str, told: str, key: str) -> None:
        self._process.world.record(self._process.name, kind, told, choice=(kind, key))

    def _before(self, what: str, asked: str) -> Any:
        world = self._process.world
        self._process.check()
        failing = world.fault("failing-dependency", what)
        if failing == "before":
            self._record("failing-dependency", f"{what}, nothing done", what)
            raise DependencyFailed(f"{what}: not reached")
        if self._refusals and asked not in world.accepted:  # who has said yes to a request repeats it
            chosen = world.fault("rejecting-dependency", what)
            if chosen is not None:
                self._record("rejecting-dependency", what, what)
                raise self._refusals[0]
        return failing

    def _after(self, what: str, asked: str, failing: Any) -> None:
        self._process.world.accepted.add(asked)
        if failing == "after":
            self._record("failing-dependency", f"{what}, done all the same", what)
            raise DependencyFailed(f"{what}: no answer")
