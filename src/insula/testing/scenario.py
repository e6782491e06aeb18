"""A whole system, or one module with the others stubbed, in a test: real SQLite, virtual time, no background."""

from __future__ import annotations

import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, overload

from sqlalchemy import Row

from insula.kernel.context import ANONYMOUS, Caller, MessageContext, new_process, process_state
from insula.kernel.errors import ConfigurationError
from insula.kernel.randomness import SeededRandomness
from insula.messages import Command, Event, Message, Query, decoder
from insula.messaging.bus import Fidelity
from insula.modules import Assembly, Module, System
from insula.runtime.configuration import Configuration
from insula.runtime.surroundings import Surroundings
from insula.runtime.wiring import Wired, assembled, prepare, wire
from insula.store.database import Parked
from insula.store.unit_of_work import Parameters, Statement
from insula.testing.clock import PassingClock, VirtualClock
from insula.testing.outside import envelope_for

R = TypeVar("R")
_ROUNDS = 1000


class Unsettled(AssertionError):
    """The system kept producing messages: a loop of events, or a timer that sets itself again."""


class Scenario:
    """Runs a system inside a test.

    Parameters: `subject`, a System, or one Module whose neighbours are stubbed; `fidelity` "wire" (default) encodes
    and decodes local calls too; `ports`, port type → fake to supply instead of the bound adapter.
    Raises TypeError for another subject; on entry `AssemblyError`, and ConfigurationError for a port nobody binds.
    Nothing moves by itself: `call` runs a handler, `settle` delivers what was published, `advance` lets time pass, and
    so does a handler that waits, as a retry does between attempts.
    """

    def __init__(
        self,
        subject: System | Module,
        *,
        fidelity: Fidelity = "wire",
        ports: dict[type, Any] | None = None,
        configuration: Configuration | None = None,
    ) -> None:
        if not isinstance(subject, (System, Module)):
            raise TypeError(f"Scenario takes a System or a Module, not {subject!r}")
        self._whole = isinstance(subject, System)
        self.system = System(subject.name, subject) if isinstance(subject, Module) else subject
        self.clock: VirtualClock = PassingClock()
        self._surroundings = Surroundings(clock=self.clock, randomness=SeededRandomness(1), adapters=ports or {})
        self._fidelity = fidelity
        self._configuration = configuration or Configuration()
        self._folder = tempfile.TemporaryDirectory(prefix="insula-scenario-")
        self._wired: Wired | None = None
        self._read: dict[str, int] = {}
        self._published: list[Event] = []

    @property
    def wired(self) -> Wired:
        """The parts of the system under test."""
        if self._wired is None:
            raise RuntimeError("use `async with Scenario(...) as scenario:`")
        return self._wired

    async def __aenter__(self) -> Self:
        try:
            await self._open()
        except BaseException:
            self._leave_process()
            self._folder.cleanup()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()
        self._folder.cleanup()

    async def _open(self) -> None:
        # A process that has just started: its policies begin anew, in the scenario's time.
        self._outside = process_state.set(new_process(self.clock, self._surroundings.randomness))
        assembly = assembled(self.system)
        self._check_ports(assembly)
        wired = wire(
            self.system, self._configuration, self._surroundings, directory=Path(self._folder.name),
            fidelity=self._fidelity, assembly=assembly, whole=self._whole,
        )  # fmt: skip
        self._wired = wired
        await prepare(wired)
        await wired.start()

    def _check_ports(self, assembly: Assembly) -> None:
        bound = {port for bindings in assembly.bindings.values() for port in bindings}
        for port in self._surroundings.adapters:
            if port not in bound:
                known = ", ".join(sorted(each.__name__ for each in bound)) or "none"
                raise ConfigurationError(
                    f"Scenario({self.system.name}, ports=...): no module binds {getattr(port, '__name__', port)}, so "
                    f"nobody would get this fake; bound are: {known}"
                )

    async def _close(self) -> None:
        for database in self.wired.databases.values():
            await database.close()
        self._leave_process()

    def _leave_process(self) -> None:
        try:
            process_state.reset(self._outside)
        except ValueError:
            pass  # closed by another task than opened it: that one's context ends with it

    async def restart(self) -> None:
        """Stop without saving cursors, as a crash would, and start again on the same files."""
        await self._close()
        await self._open()

    @overload
    async def call(self, message: Command[R], *, message_id: str | None = None, caller: Caller = ANONYMOUS) -> R: ...

    @overload
    async def call(self, message: Query[R], *, message_id: str | None = None, caller: Caller = ANONYMOUS) -> R: ...

    async def call(self, message: Any, *, message_id: str | None = None, caller: Caller = ANONYMOUS) -> Any:
        """Send a command or query, wait for its answer; raises its Rejection."""
        try:
            return await self.wired.bus.call(message, message_id=message_id, caller=caller)
        finally:
            await self._collect()

    def stub(self, message: type[Message], answer: Any) -> None:
        """Let `answer` stand in for the handler of `message`: a value, a Rejection to raise, or a function of it."""

        async def reply(asked: Any, _: MessageContext) -> Any:
            value = answer(asked) if callable(answer) else answer
            if isinstance(value, Exception):
                raise value
            return value

        self.wired.bus.redirect(message, reply)

    @property
    def published(self) -> list[Event]:
        """Every event published so far, module by module in the order of their logs."""
        return list(self._published)

    async def settle(self, *, duplicate: bool = False) -> None:
        """Deliver until nothing is left, letting time pass for retries; `duplicate` delivers everything twice."""
        for _ in range(_ROUNDS):
            moved = sum([await timer.step() for timer in self.wired.timers])
            moved += sum([await relay.step(twice=duplicate) for relay in self.wired.relays])
            moved += sum([await receiver.retry_due() for receiver in self.wired.receivers.values()])
            await self._collect()
            if moved == 0 and not await self._wait_for_retry():
                return
        raise Unsettled(
            f"{self.system.name}: still busy after {_ROUNDS} rounds; the last events: {self._published[-5:]}"
        )

    async def _wait_for_retry(self) -> bool:
        due = [each for each in [await each.next_due() for each in self.wired.receivers.values()] if each]
        if not due:
            return False
        self._move_to(min(due))
        return True

    async def advance(self, by: timedelta) -> None:
        """Let time pass, settling at each moment for which a schedule or a delayed message is due, and at the end."""
        until = self.clock.now() + by
        while (due := await self._next_timer()) is not None and due <= until:
            self._move_to(due)
            await self.settle()
        self._move_to(until)
        await self.settle()

    async def _next_timer(self) -> datetime | None:
        due = [await database.timers_next() for database in self.wired.databases.values()]
        return min((each for each in due if each is not None), default=None)

    def _move_to(self, moment: datetime) -> None:
        """Settling may have gone past it, waiting for retries."""
        self.clock.advance(max(moment - self.clock.now(), timedelta(0)))

    async def _collect(self) -> None:
        for name, database in self.wired.databases.items():
            for envelope in await database.log_after(self._read.get(name, 0), (), 10_000):
                self._read[name] = envelope.position
                cls = self.wired.assembly.messages.get(envelope.type)
                if envelope.kind == "event" and cls is not None:
                    self._published.append(decoder(cls)(envelope.data))

    async def rows(self, module: Module, statement: Statement, parameters: Parameters = None) -> list[Row[Any]]:
        """Committed rows of a module's database."""
        return list(await self.wired.databases[module.name].read(statement, parameters))

    async def deliver(self, event: Event, *, source: str = "test") -> None:
        """Hand an event to every consumer, as if a module outside this scenario had published it."""

        envelope = envelope_for(event, source, self.clock)
        for receiver in self.wired.receivers.values():
            await receiver.deliver(envelope)
        await self._collect()

    async def parked(self, module: Module) -> list[Parked]:
        """The module's parked messages, dead letters among them."""
        return list(await self.wired.databases[module.name].parked_list(dead_only=False, limit=1000))

    async def replay(self, module: Module) -> int:
        """Let the module's dead letters be tried again; returns how many. Call `settle` afterwards."""
        receiver = self.wired.receivers[module.name]
        return await receiver.revive([each.sequence for each in await self.parked(module)])
