"""Runs several processes on one machine: starts them, waits until they are ready, starts again what ends, stops all."""

from __future__ import annotations

import asyncio
import os
import signal
from asyncio.subprocess import STDOUT, Process
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import Any

from insula.adapters.asgi.server import check_address
from insula.kernel.clock import Clock, SystemClock
from insula.kernel.errors import InsulaError

ALIVE_PATH, READY_PATH = "/_insula/health", "/_insula/ready"

_LOOK_SECONDS = 0.1
_ANSWER_SECONDS = 2.0
_FIRST_DELAY_SECONDS = 0.5
_LONGEST_DELAY_SECONDS = 30.0
_HEALTHY_SECONDS = 60.0
"""After so long a process is taken to be well: the next end counts as the first."""

_HUNG_SECONDS = 30.0
"""A process that was ready and for so long has not even said that it is alive is ended."""

_WATCH_SECONDS = 5.0

_CANNOT_RUN = 2
"""The exit code of a command that could not be run at all: it would not help to try again."""

_READY = 200

_WAITS = "is alive but not ready: it waits for its database, its broker or its lease, and is left running"

_LONGEST_LINE_BYTES = 1 << 16

_LAST_WORDS_SECONDS = 2.0
"""How long to read on what a program has said that has ended."""

Say = Callable[[str, str], None]
"""Told the name of a process, and a line of its output or about it."""


class NotStarted(InsulaError):
    """A process could not be started, or ended before it was ready."""


@dataclass(frozen=True)
class Program:
    """One process to be run.

    Parameters: `name`; `command`; `port`, where it answers `/_insula/ready` on `host`; `environment`, added to ours.
    """

    name: str
    command: Sequence[str]
    port: int
    host: str = "127.0.0.1"
    environment: Mapping[str, str] = field(default_factory=dict)


class Supervisor:
    """Runs programs beside each other until it is told to stop.

    A program that ends by itself is started again, at once and then after a growing delay, up to half a minute; so is
    one that does not even say any more that it is alive, which is ended first. One that is alive but not ready is left
    running, and told of. None outlives this process, however it ends: each holds the other end of a pipe, whose number
    it gets as `--lifeline`. What a program has started and left behind is ended with it.

    Parameters: `programs`; `say`; `ready_seconds`, how long it may take until a program is ready for the first time
    (default 30), however often it ends meanwhile; `stop_seconds`, after which one that was told to stop is killed
    (default 30, above twice the 10 that it may drain); `hung_seconds`, after which one that says nothing is (default
    30).
    """

    def __init__(
        self,
        programs: Sequence[Program],
        say: Say,
        *,
        ready_seconds: float = 30.0,
        stop_seconds: float = 30.0,
        hung_seconds: float = _HUNG_SECONDS,
        clock: Clock | None = None,
    ) -> None:
        self._programs = programs
        self._say = say
        self._ready_seconds = ready_seconds
        self._stop_seconds = stop_seconds
        self._hung_seconds = hung_seconds
        self._clock = clock or SystemClock()
        self._stopping = asyncio.Event()
        self._running: dict[str, Process] = {}

    def check(self) -> None:
        """See that every program's port is free. Raises ConfigurationError."""
        for program in self._programs:
            check_address(program.host, program.port)

    def stop(self) -> None:
        """Let `run` stop every program and return."""
        self._stopping.set()

    def kill(self) -> None:
        """End every program at once."""
        for process in self._running.values():
            with suppress(ProcessLookupError):
                process.kill()

    async def run(self, on_ready: Callable[[], None] | None = None) -> None:
        """Start all; once all are ready call `on_ready`; keep them running until `stop`.

        Raises NotStarted, after all others were stopped, when one cannot be run at all or is not ready in time.
        """
        lifeline, end = os.pipe()
        first = [asyncio.get_running_loop().create_future() for _ in self._programs]
        keepers = [
            asyncio.create_task(self._keep(program, lifeline, ready))
            for program, ready in zip(self._programs, first, strict=True)
        ]
        stopping: asyncio.Future[object] = asyncio.create_task(self._stopping.wait())
        started: asyncio.Future[Any] = asyncio.gather(*first)
        try:
            await asyncio.wait([started, stopping], return_when=asyncio.FIRST_COMPLETED)
            if started.done():
                started.result()  # raises what kept one from starting
                if on_ready is not None:
                    on_ready()
                await stopping
        finally:
            self._stopping.set()
            await asyncio.gather(*keepers)
            stopping.cancel()
            started.cancel()
            with suppress(asyncio.CancelledError, NotStarted):
                await started
            os.close(lifeline)
            os.close(end)

    async def _keep(self, program: Program, lifeline: int, first: asyncio.Future[None]) -> None:
        """Run one program again and again."""
        delay, give_up = 0.0, self._clock.monotonic() + self._ready_seconds
        while not self._stopping.is_set():
            began = self._clock.monotonic()
            try:
                code = await self._live(program, lifeline, first, give_up)
            except NotStarted as error:
                if not first.done():
                    first.set_exception(error)
                return
            if self._stopping.is_set():
                return
            if code == _CANNOT_RUN and not first.done():
                first.set_exception(NotStarted(f"{program.name} cannot run; its last lines say why"))
                return
            if not first.done() and self._clock.monotonic() > give_up:
                first.set_exception(self._not_ready(program))
                return
            delay = 0.0 if self._clock.monotonic() - began > _HEALTHY_SECONDS else delay
            told = "at once" if not delay else f"in {delay:g} s"
            self._say(program.name, f"ended with {_ending(code)}; starting again {told}")
            await self._pause(delay)
            delay = min(max(2 * delay, _FIRST_DELAY_SECONDS), _LONGEST_DELAY_SECONDS)

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    async def _live(self, program: Program, lifeline: int, first: asyncio.Future[None], give_up: float) -> int:
        """One life of a program, from its start to its end, by itself or because all stop; returns its exit code."""
        # A pipe of our own: asyncio's tells of the end of a process only once nobody holds its output any more.
        reading, writing = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *program.command, "--lifeline", str(lifeline), stdout=writing, stderr=STDOUT, pass_fds=(lifeline,),
                env={**os.environ, **program.environment}, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            os.close(reading)
            raise NotStarted(f"{program.name}: {program.command[0]}: {error.strerror}") from error
        finally:
            os.close(writing)
        self._running[program.name] = process
        talk = asyncio.create_task(self._listen(program.name, reading))
        ended = asyncio.create_task(process.wait())
        ready = asyncio.create_task(self._watch(program, process, first, give_up))
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait([ended, stopping], return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                await self._end(program.name, process, ended)
        finally:
            for task in (ready, stopping):
                task.cancel()
            del self._running[program.name]
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)  # what it has started would hold its output open, and its ports
        await asyncio.wait([talk], timeout=_LAST_WORDS_SECONDS)
        talk.cancel()
        await asyncio.wait([talk])
        return ended.result()

    async def _listen(self, name: str, descriptor: int) -> None:
        output = asyncio.StreamReader(_LONGEST_LINE_BYTES)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(output), os.fdopen(descriptor, "rb", 0)
        )
        with closing(transport):
            while True:
                try:
                    line = await output.readline()
                except ValueError:  # a line longer than the limit: its beginning is gone, its end comes
                    continue
                if not line:
                    return
                self._say(name, line.decode(errors="replace").rstrip())

    async def _watch(self, program: Program, process: Process, first: asyncio.Future[None], give_up: float) -> None:
        """Wait until it is ready, then see that it goes on answering."""
        await self._until_ready(program, first, give_up)
        heard, ready = self._clock.monotonic(), True
        while True:
            await self._clock.sleep(min(_WATCH_SECONDS, self._hung_seconds / 2))
            was, ready = ready, await status_of(program.host, program.port) == _READY
            if ready or await status_of(program.host, program.port, ALIVE_PATH) is not None:
                heard = self._clock.monotonic()
                if ready != was:
                    self._say(program.name, "is ready again" if ready else _WAITS)
            elif self._clock.monotonic() - heard >= self._hung_seconds:
                self._say(program.name, f"has not answered for {self._hung_seconds:g} s; ending it")
                with suppress(ProcessLookupError):
                    process.kill()
                return

    async def _until_ready(self, program: Program, first: asyncio.Future[None], give_up: float) -> None:
        while await status_of(program.host, program.port) != _READY:
            if self._clock.monotonic() > give_up and not first.done():
                first.set_exception(self._not_ready(program))
                return
            await self._clock.sleep(_LOOK_SECONDS)
        if not first.done():
            first.set_result(None)
        self._say(program.name, f"is ready at http://{program.host}:{program.port}")

    def _not_ready(self, program: Program) -> NotStarted:
        return NotStarted(
            f"{program.name} was not ready within {self._ready_seconds:g} s: "
            f"http://{program.host}:{program.port}{READY_PATH} does not answer 200"
        )

    async def _end(self, name: str, process: Process, ended: asyncio.Task[int]) -> None:
        with suppress(ProcessLookupError):
            process.terminate()
        await asyncio.wait([ended], timeout=self._stop_seconds)
        if not ended.done():
            self._say(name, f"did not stop within {self._stop_seconds:g} s; killed")
            with suppress(ProcessLookupError):
                process.kill()
            await asyncio.wait([ended])


async def status_of(host: str, port: int, path: str = READY_PATH) -> int | None:
    """What the process at that port answers when it is asked whether it is ready; None when it answers nothing."""
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(f"GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
                status = await reader.readline()
            finally:
                writer.close()
        return int(status.split()[1])
    except (OSError, TimeoutError, IndexError, ValueError):
        return None


def _ending(code: int) -> str:
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name
