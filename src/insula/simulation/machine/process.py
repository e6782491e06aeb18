"""One life of a service: its own order of steps, clock, chance and state, until it crashes."""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Any

from insula.kernel.clock import Timer, Wake
from insula.kernel.context import new_process, process_state
from insula.kernel.randomness import SeededRandomness
from insula.simulation.machine.ground import Ground

START = datetime(2030, 1, 1, tzinfo=UTC)

current_process: ContextVar[SimulatedProcess] = ContextVar("insula_simulated_process")
"""The process whose code runs."""


class ProcessDied(BaseException):
    """Code of a process that has crashed touched a port; only `finally` blocks after the end of a run ever see it."""


class ProcessClock:
    """A process's own clock: it may be wrong about the hour, never about how long something took."""

    def __init__(self, process: SimulatedProcess) -> None:
        self._process = process
        self._time = process.world.loop.time

    def now(self) -> datetime:
        """The wall clock, with the process's error."""
        return START + timedelta(seconds=self._time() + self._process.skew)

    def monotonic(self) -> float:
        """Virtual seconds."""
        return self._time()

    async def sleep(self, seconds: float) -> None:
        """Wait in virtual time."""
        await asyncio.sleep(max(0.0, seconds))

    def block(self, seconds: float, wake: Wake | None = None) -> None:
        """Time passes at once, for everybody: a simulated process has one thread, and whoever could wake it is held."""
        self._process.world.loop.pass_time(max(0.0, seconds))

    def call_at(self, moment: float, callback: Callable[[], object]) -> Timer:
        """Call back in this process, in virtual time."""
        return self._process.world.loop.call_at(moment, callback)


class SimulatedProcess:
    """One life of a service.

    Parameters: `world`; `name` of the service, None for the world outside, which never crashes; `life`, counted from 0.
    """

    def __init__(self, world: Ground, name: str, life: int) -> None:
        self.world = world
        self.name = name
        self.life = life
        self.tag = f"{name}/{life}".encode()
        self.ready: deque[asyncio.Handle] = deque()
        self.dead = False
        self.paused = False
        self.steps = 0
        self.dies_at_step = -1
        self.downtime_seconds = 1.0
        self.skew = 0.0
        self.on_death: list[Callable[[], None]] = []
        self.on_pause: list[Callable[[], None]] = []
        self.clock = ProcessClock(self)
        self.randomness = SeededRandomness(f"{world.choices.seed}/{name}/{life}")
        self.context = contextvars.copy_context()
        self.context.run(current_process.set, self)
        self.context.run(process_state.set, new_process(self.clock, self.randomness, one_thread=True))

    def spawn(self, work: Coroutine[Any, Any, Any], name: str) -> None:
        """Run a coroutine in this process."""
        _ = self.world.loop.create_task(work, name=f"{self.name}: {name}", context=self.context.copy())

    def die_here(self) -> None:
        """Crash in the middle of whatever runs."""
        choice = ("crash-anywhere", f"{self.name}, life {self.life + 1}")
        self.world.crash(self, f"at step {self.steps}", self.downtime_seconds, choice)

    def check(self) -> None:
        """Raise if this process is dead."""
        if self.dead or self.world.over:
            raise ProcessDied(self.name)

    def strike(self, boundary: str) -> bool:
        """Whether the process crashes at this effect boundary; whatever runs must not go on then. May pause it."""
        world = self.world
        key = world.choices.number(f"{self.name}: {boundary}")
        downtime = world.fault("crash", key)
        if downtime is not None:
            world.crash(self, boundary, downtime, ("crash", key))
            return True
        seconds = world.fault("pause", key)
        if seconds is not None:
            world.pause(self, seconds, boundary, ("pause", key))
        return False

    async def boundary(self, name: str) -> None:
        """An effect boundary in a coroutine: the process may crash here, or stand still."""
        self.check()
        if self.strike(name):
            await self.world.loop.create_future()  # never
        if self.paused:
            await asyncio.sleep(0)
