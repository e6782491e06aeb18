"""The composition root: the one place that names concrete adapters."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Collection, Container, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from insula.kernel.clock import Clock
from insula.kernel.context import Caller, Context
from insula.kernel.errors import ConfigurationError
from insula.kernel.ids import Uuid7
from insula.messages import Message
from insula.messaging.bus import Ask, Bus, Fidelity
from insula.messaging.dispatcher import Dispatcher, Handler, Port, framework_ports
from insula.messaging.publishing import Publisher
from insula.messaging.receiver import Receiver
from insula.messaging.relay import Relay
from insula.messaging.retrying import RetryPolicy
from insula.messaging.subscribing import Subscriber
from insula.messaging.timers import Timers, tick_type
from insula.modules import Assembly, HandlerDeclaration, Module, System, assemble
from insula.runtime.configuration import Configuration, Delivery
from insula.runtime.databases import database_of
from insula.runtime.module_database import ModuleDatabase
from insula.runtime.surroundings import Surroundings
from insula.store.log import Log
from insula.store.migration import found_in
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
    """A system, or the modules of it that run in this process, with its adapters; not yet started."""

    assembly: Assembly
    bus: Bus
    databases: dict[str, ModuleDatabase]
    receivers: dict[str, Receiver] = field(default_factory=dict)
    relays: list[Relay] = field(default_factory=list)
    publishers: list[Publisher] = field(default_factory=list)
    subscribers: list[Subscriber] = field(default_factory=list)
    timers: list[Timers] = field(default_factory=list)
    partitions: int = 0
    """How many partitions the broker's channels have; 0 without a broker."""
    shares: int = 0
    """How many shares the reading of each module has."""
    shared: dict[str, set[str]] = field(default_factory=dict)
    """Module -> the modules elsewhere whose messages the broker brings to it."""
    bound: list[Any] = field(default_factory=list)

    @property
    def modules(self) -> Sequence[Module]:
        """The modules that run in this process."""
        return [module for module in self.assembly.system.modules if module.name in self.databases]

    async def start(self) -> None:
        """Pick up what the last run left in a system without a broker: parked keys, schedules, cursors."""
        for receiver in self.receivers.values():
            await receiver.start()
        for timers in self.timers:
            await timers.start()
        await asyncio.gather(*(relay.start() for relay in self.relays))


def wire(
    system: System,
    configuration: Configuration,
    surroundings: Surroundings,
    *,
    directory: Path,
    fidelity: Fidelity = "direct",
    only: Collection[str] | None = None,
    assembly: Assembly | None = None,
    whole: bool = True,
) -> Wired:
    """Assemble `system` and connect it to its databases; SQLite files lie in `directory`.

    Parameters: `only`, the names of the modules that run in this process (default: all); `assembly`, the system put
    together before; `whole`, False when modules outside of `system` take commands too, as in a test of one module.
    Raises `AssemblyError`, `ConfigurationError`, `AlreadyOpen`.
    """
    assembly = assembly or assembled(system)
    here = [module for module in system.modules if only is None or module.name in only]
    clock, randomness = surroundings.clock, surroundings.randomness
    handlers: dict[type[Message], tuple[Dispatcher, Handler]] = {}
    bus = Bus(handlers, clock, Uuid7(clock, randomness), randomness, fidelity=fidelity)
    wired = Wired(assembly, bus, {})
    handled = assembly.handlers if whole else None
    try:
        for module in here:
            owners = {table: each.name for each in system.modules if each is not module for table in each.table_names}
            wired.databases[module.name] = database_of(
                module.name, configuration.store, surroundings, directory, owners
            )
        for module in here:
            _wire_module(module, wired, handlers, configuration.delivery, surroundings, handled)
        for module in system.modules:
            if module in here:
                _wire_log(wired.databases[module.name], wired, surroundings)
            else:
                _wire_elsewhere(module, wired, surroundings)
    except BaseException:
        for database in wired.databases.values():
            database.let_go()
        raise
    return wired


def _wire_module(
    module: Module,
    wired: Wired,
    handlers: dict[type[Message], tuple[Dispatcher, Handler]],
    delivery: Delivery,
    surroundings: Surroundings,
    handled: Container[type[Message]] | None,
) -> None:
    """The handlers of one module, its receiver and its timers."""
    clock, database = surroundings.clock, wired.databases[module.name]
    dispatcher = Dispatcher(module.name, database, clock, handled)
    ports = _ports_of(wired, module, surroundings)
    consumers: dict[str, list[Handler]] = {}
    schedules = []
    for declaration in _handlers_of(wired.assembly, module):
        handler = Handler(module.name, declaration, ports)
        if declaration.kind in ("command", "query") and declaration.message is not None:
            handlers[declaration.message] = (dispatcher, handler)
        if declaration.kind == "schedule":
            schedules.append(declaration)
            consumers.setdefault(tick_type(declaration), []).append(handler)
        elif declaration.kind != "query" and declaration.message is not None:
            consumers.setdefault(declaration.message.__message_name__, []).append(handler)
    policy = RetryPolicy(delivery.attempts, delivery.first_delay_seconds, delivery.longest_delay_seconds)
    wired.receivers[module.name] = Receiver(
        dispatcher, consumers, clock, surroundings.randomness, policy, delivery.handler_timeout_seconds
    )
    wired.timers.append(Timers(database, schedules, clock))


def _wire_log(log: ModuleDatabase, wired: Wired, surroundings: Surroundings) -> None:
    """From a log of this process to each receiver here, and to the broker for those elsewhere."""
    _relay(log, wired, surroundings)
    elsewhere = [each.name for each in wired.assembly.system.modules if each.name not in wired.databases]
    listening = [name for name in elsewhere if _listens(wired.assembly, name)]
    if surroundings.transport is not None and listening:
        wired.publishers.append(Publisher(log, surroundings.transport, listening, surroundings.clock))


def _wire_elsewhere(module: Module, wired: Wired, surroundings: Surroundings) -> None:
    """Calls to a module of another process, and its messages to each receiver here."""
    neighbours, transport = surroundings.neighbours, surroundings.transport
    if neighbours is None or (transport is None and surroundings.log_elsewhere is None):
        raise ConfigurationError(f"module {module.name} runs in no process that this one knows of")
    for message, (owner, _) in wired.assembly.handlers.items():
        if owner is module:
            wired.bus.redirect(message, partial(neighbours.call, module.name))
    if transport is None:
        if surroundings.log_elsewhere is not None:
            _relay(surroundings.log_elsewhere(module.name), wired, surroundings)
        return
    wired.partitions, wired.shares = transport.partitions, transport.shares
    clock, known = surroundings.clock, wired.assembly.messages
    for name, receiver in wired.receivers.items():
        if _listens(wired.assembly, name):
            wired.shared.setdefault(name, set()).add(module.name)
            wired.subscribers += [
                Subscriber(module.name, receiver, transport, clock, share=share, known=known)
                for share in range(transport.shares)
            ]


def _relay(log: Log, wired: Wired, surroundings: Surroundings) -> None:
    for receiver in wired.receivers.values():
        if receiver.types:
            deliver = None if surroundings.deliver is None else surroundings.deliver(log.name, receiver)
            wired.relays.append(Relay(log, receiver, surroundings.clock, deliver))


def _listens(assembly: Assembly, module: str) -> bool:
    """Whether a module takes messages that others may publish or send."""
    commands = (owner.name for owner, handler in assembly.handlers.values() if handler.kind == "command")
    return module in commands or any(owner.name == module for owner, _ in assembly.consumers)


def _handlers_of(assembly: Assembly, module: Module) -> list[HandlerDeclaration]:
    found = (*assembly.handlers.values(), *assembly.consumers, *assembly.schedules)
    return [declaration for owner, declaration in found if owner is module]


def _ports_of(wired: Wired, module: Module, surroundings: Surroundings) -> Mapping[Any, Port]:
    ports: dict[Any, Port] = {**framework_ports(surroundings.clock), Ask: wired.bus.asking}
    for binding in wired.assembly.bindings.get(module, {}).values():
        adapters = surroundings.adapters
        adapter = adapters[binding.port] if binding.port in adapters else _made(binding.factory)
        wired.bound.append(adapter)
        before = surroundings.before
        ports[binding.port] = _constant(adapter if before is None else before(binding.port, adapter))
    return ports


def _made(factory: Any) -> Any:
    """An adapter: a class or function is called, anything else is the adapter itself."""
    return factory() if inspect.isclass(factory) or inspect.isroutine(factory) else factory


def _constant(value: Any) -> Port:
    return lambda _: value


def migration_problems(system: System) -> list[str]:
    """What is wrong with the modules' folders of migrations, whatever has been applied."""
    problems = []
    for module in system.modules:
        try:
            if module.migrations is not None:
                found_in(module.migrations, module.name)
        except ConfigurationError as error:
            problems.append(str(error))
    return problems


async def prepare(wired: Wired) -> Sequence[str]:
    """Migrate every module's database; returns what was done, a line each."""
    done: list[str] = []
    for module in wired.modules:
        done.extend(await wired.databases[module.name].start(module.tables, module.migrations))
    return done
