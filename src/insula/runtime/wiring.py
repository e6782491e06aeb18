"""The composition root: the one place that names concrete adapters."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from insula.adapters.sqlite.database import SqliteDatabase
from insula.kernel.clock import Clock
from insula.kernel.context import Caller, Context
from insula.kernel.ids import IdSource, Uuid7
from insula.kernel.randomness import Randomness
from insula.messages import Message
from insula.messaging.bus import Ask, Bus, Fidelity
from insula.messaging.dispatcher import Dispatcher, Handler, Port, framework_ports
from insula.messaging.receiver import Receiver
from insula.messaging.relay import Relay
from insula.messaging.retrying import RetryPolicy
from insula.messaging.timers import Timers, tick_type
from insula.modules import Assembly, HandlerDeclaration, Module, System, assemble
from insula.runtime.configuration import Configuration, Store
from insula.store.unit_of_work import SyncUnitOfWork, UnitOfWork

_PORTS: frozenset[Any] = frozenset((Context, Caller, Clock))
_AWAITED_PORTS: frozenset[Any] = frozenset((UnitOfWork, Ask))
_BLOCKING_PORTS: frozenset[Any] = frozenset((SyncUnitOfWork,))


def assembled(system: System) -> Assembly:
    """Put the system together and check it; raises `AssemblyError` with every problem."""
    return assemble(
        system, framework_ports=_PORTS, awaited_ports=_AWAITED_PORTS, blocking_ports=_BLOCKING_PORTS
    )  # fmt: skip


@dataclass(slots=True)
class Wired:
    """A system with its adapters, not yet started."""

    assembly: Assembly
    bus: Bus
    databases: dict[str, SqliteDatabase]
    receivers: dict[str, Receiver]
    relays: list[Relay]
    timers: list[Timers]
    bound: list[Any] = field(default_factory=list)

    async def start(self) -> None:
        """Pick up what the last run left: parked keys, schedules, cursors."""
        for receiver in self.receivers.values():
            await receiver.start()
        for timers in self.timers:
            await timers.start()
        await asyncio.gather(*(relay.start() for relay in self.relays))  # together, so that they share commits


def wire(
    system: System,
    configuration: Configuration,
    clock: Clock,
    randomness: Randomness,
    *,
    directory: Path,
    fidelity: Fidelity = "direct",
    replacements: Mapping[type, Any] | None = None,
    ids: IdSource | None = None,
) -> Wired:
    """Assemble `system` and connect it to SQLite files in `directory`.

    Parameters: `replacements`, port → what to supply instead of the bound adapter (tests).
    Raises `AssemblyError`, `ConfigurationError`, `AlreadyOpen`.
    """
    assembly = assembled(system)
    ids = ids or Uuid7(clock, randomness)
    databases: dict[str, SqliteDatabase] = {}
    bound: list[Any] = []
    handlers: dict[type[Message], tuple[Dispatcher, Handler]] = {}
    bus = Bus(handlers, clock, ids, randomness, fidelity=fidelity)
    receivers: dict[str, Receiver] = {}
    timers: list[Timers] = []
    store, delivery = configuration.store, configuration.delivery
    policy = RetryPolicy(delivery.attempts, delivery.first_delay_seconds, delivery.longest_delay_seconds)
    _open(databases, system, directory, clock, store)
    for module in system.modules:
        database = databases[module.name]
        dispatcher = Dispatcher(module.name, database, clock)
        ports = _ports_of(assembly, module, clock, bus, dict(replacements or {}), bound)
        consumers: dict[str, list[Handler]] = {}
        schedules = []
        for declaration in _handlers_of(assembly, module):
            handler = Handler(module.name, declaration, ports)
            if declaration.kind in ("command", "query") and declaration.message is not None:
                handlers[declaration.message] = (dispatcher, handler)
            if declaration.kind == "schedule":
                schedules.append(declaration)
                consumers.setdefault(tick_type(declaration), []).append(handler)
            elif declaration.kind != "query" and declaration.message is not None:
                consumers.setdefault(declaration.message.__message_name__, []).append(handler)
        receivers[module.name] = Receiver(dispatcher, consumers, clock, randomness, policy)
        timers.append(Timers(database, schedules, clock))
    relays = [
        Relay(source, receiver, clock)
        for source in databases.values()
        for receiver in receivers.values()
        if receiver.types
    ]
    return Wired(assembly, bus, databases, receivers, relays, timers, bound)


def _open(databases: dict[str, SqliteDatabase], system: System, directory: Path, clock: Clock, store: Store) -> None:
    """Open every module's database, or none."""
    try:
        for module in system.modules:
            databases[module.name] = SqliteDatabase(
                directory / f"{module.name}.db", module.name, clock,
                busy_timeout_seconds=store.busy_timeout_seconds, query_timeout_seconds=store.query_timeout_seconds,
            )  # fmt: skip
    except BaseException:
        for database in databases.values():
            database.let_go()
        raise


def _handlers_of(assembly: Assembly, module: Module) -> list[HandlerDeclaration]:
    found = (*assembly.handlers.values(), *assembly.consumers, *assembly.schedules)
    return [declaration for owner, declaration in found if owner is module]


def _ports_of(
    assembly: Assembly, module: Module, clock: Clock, bus: Bus, replacements: dict[type, Any], bound: list[Any]
) -> Mapping[Any, Port]:
    ports: dict[Any, Port] = {**framework_ports(clock), Ask: bus.asking}
    for binding in assembly.bindings.get(module, {}).values():
        adapter = replacements[binding.port] if binding.port in replacements else _made(binding.factory)
        bound.append(adapter)
        ports[binding.port] = _constant(adapter)
    return ports


def _made(factory: Any) -> Any:
    """An adapter: a class or function is called, anything else is the adapter itself."""
    return factory() if inspect.isclass(factory) or inspect.isroutine(factory) else factory


def _constant(value: Any) -> Port:
    return lambda _: value


def prepare(wired: Wired) -> Sequence[str]:
    """Migrate every module's database; returns what was done, a line each."""
    done: list[str] = []
    for module in wired.assembly.system.modules:
        migrations = None if module.migrations is None else Path(module.migrations)
        done.extend(wired.databases[module.name].prepare(module.tables, migrations))
    return done
