"""Mistakes in a simulation that would end in a riddle, or in a proof of nothing: each is refused with its remedy."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from insula.kernel.errors import ConfigurationError
from insula.messages import Command, Query
from insula.modules import Assembly, Module, System
from insula.simulation.faults import weights_of
from insula.simulation.invariants import Invariant
from insula.simulation.workload import Workload

_WORKLOAD = "a list of commands and queries, or an `async def` function that takes the client, is expected"
_DECORATORS = "@eventually, @always, @sometimes or @invariant(after_commit=...)"


class Given(Protocol):
    """The parameters of a `Simulation`, which is made of checked ones and so stands above this file."""

    @property
    def system(self) -> System: ...
    @property
    def workload(self) -> Workload: ...
    @property
    def setup(self) -> Workload: ...
    @property
    def invariants(self) -> Sequence[Invariant]: ...
    @property
    def topology(self) -> object: ...
    @property
    def ports(self) -> Mapping[type, Any]: ...
    @property
    def refusals(self) -> Mapping[type, Sequence[Exception]]: ...
    @property
    def faults(self) -> Mapping[str, float]: ...


def check_given(simulation: Given) -> None:
    """Whether the parameters can be what was meant. Raises ConfigurationError."""
    system: object = simulation.system
    if not isinstance(system, System):
        raise ConfigurationError(f'system={_shown(system)}: give a system; a module alone is System("name", module)')
    _check_workload("workload", simulation.workload)
    _check_workload("setup", simulation.setup)
    _check_invariants(simulation.invariants, simulation.system)
    _check_topology(simulation.topology, simulation.system)
    _check_ports(simulation.ports)
    _check_refusals(simulation.refusals)
    weights_of(simulation.faults)


def check_nothing_beside(**given: object) -> None:
    """Refuse parameters beside a `Simulation` that has its own: which of the two would count?"""
    beside = [name for name, value in given.items() if value]
    if beside:
        raise ConfigurationError(
            f"{beside[0]}= is given beside a Simulation, which has its own; give it to the Simulation, or make another "
            f"one: dataclasses.replace(simulation, {beside[0]}=...)"
        )


def check_assembled(simulation: Given, assembly: Assembly) -> None:
    """Whether the parameters fit the system once it is put together. Raises ConfigurationError."""
    bound = {port for bindings in assembly.bindings.values() for port in bindings}
    for parameter, ports in (("ports", simulation.ports), ("refusals", simulation.refusals)):
        for port in ports:
            if port not in bound:
                raise ConfigurationError(
                    f"{parameter}: no module of {assembly.system.name} binds {_name(port)}, so that nothing would ever "
                    f"ask it; bound are {_listed(map(_name, bound))}; bind it with module.bind, or take it out"
                )
    for parameter, workload in (("workload", simulation.workload), ("setup", simulation.setup)):
        for message in () if callable(workload) else workload:
            if type(message) not in assembly.handlers:
                raise ConfigurationError(
                    f"{parameter}: no module of {assembly.system.name} handles {_name(type(message))}; "
                    f"handle it in a module, or take {_shown(message)} out"
                )


def _check_workload(parameter: str, workload: Any) -> None:
    if inspect.iscoroutine(workload):
        workload.close()  # it will never run, and need not complain of that too
        raise ConfigurationError(
            f"{parameter}={workload.__qualname__}(...): this is a call; give the function itself, without parentheses"
        )
    if callable(workload) and not isinstance(workload, type):
        if not (inspect.iscoroutinefunction(workload) or inspect.iscoroutinefunction(type(workload).__call__)):
            raise ConfigurationError(f"{parameter}={_name(workload)}: this is no `async def` function; {_WORKLOAD}")
        return
    if isinstance(workload, Command | Query):
        raise ConfigurationError(f"{parameter}={_shown(workload)}: this is one message; put it in a list: [...]")
    if not isinstance(workload, Sequence) or isinstance(workload, str | bytes):
        raise ConfigurationError(f"{parameter}={_shown(workload)}: {_WORKLOAD}")
    for number, message in enumerate(workload, 1):
        if not isinstance(message, Command | Query):
            raise ConfigurationError(
                f"{parameter}: number {number}, {_shown(message)}, is neither a command nor a query, which is all that "
                "users send; an event comes from the module that publishes it"
            )


def _check_invariants(invariants: Any, system: System) -> None:
    if not isinstance(invariants, Sequence) or isinstance(invariants, str):
        raise ConfigurationError(f"invariants={_shown(invariants)}: a list is expected, of one too: [...]")
    names = [module.name for module in system.modules]
    for each in invariants:
        if not isinstance(each, Invariant):
            raise ConfigurationError(
                f"invariants: {_name(each)} does not say when it must hold; decorate it with {_DECORATORS}"
            )
        if each.module is not None and each.module not in names:
            raise ConfigurationError(
                f"invariants: {each.name!r} is to hold after each commit of {each.module!r}, and {system.name} has no "
                f"such module; its modules are {_listed(names)}"
            )


def _check_topology(topology: Any, system: System) -> None:
    if isinstance(topology, str):
        return
    if not isinstance(topology, Mapping):
        raise ConfigurationError(
            f'topology={_shown(topology)}: "together", "apart", or a mapping of process name to modules is expected'
        )
    for process, members in topology.items():
        if not isinstance(members, Sequence) or isinstance(members, str):
            raise ConfigurationError(f"topology: process {process!r} needs a list of modules, not {_shown(members)}")
        for member in members:
            if not isinstance(member, Module):
                raise ConfigurationError(
                    f"topology: process {process!r} names {_shown(member)}; give the module itself, not its name"
                )
            if member not in system.modules:
                raise ConfigurationError(
                    f"topology: process {process!r} has module {member.name!r}, which is not in {system.name}; its "
                    f"modules are {_listed(module.name for module in system.modules)}"
                )


def check_replicas(replicas: Any, processes: Sequence[str]) -> None:
    """Whether each process that is to have replicas is there. Raises ConfigurationError."""
    if not isinstance(replicas, Mapping):
        raise ConfigurationError(f"replicas={_shown(replicas)}: a mapping of process name to a number is expected")
    for process, count in replicas.items():
        if process not in processes:
            raise ConfigurationError(
                f"replicas: there is no process {process!r} in this topology; its processes are {_listed(processes)}"
            )
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            raise ConfigurationError(f"replicas: process {process!r} has {_shown(count)}; give a number from 1")


def _check_ports(ports: Any) -> None:
    if not isinstance(ports, Mapping):
        raise ConfigurationError(f"ports={_shown(ports)}: a mapping is expected, {{ThePort: StandIn}}")
    for port, make in ports.items():
        if not (inspect.isclass(make) or inspect.isroutine(make) or isinstance(make, partial)):
            raise ConfigurationError(
                f"ports: {_name(port)} has {_shown(make)}, which all runs would share; give a class, or a function "
                "that makes one, to be called without arguments"
            )
        if inspect.iscoroutinefunction(make):
            raise ConfigurationError(f"ports: {_name(port)} is made by an `async def` function; make it a plain def")


def _check_refusals(refusals: Any) -> None:
    if not isinstance(refusals, Mapping):
        raise ConfigurationError(f"refusals={_shown(refusals)}: a mapping is expected, {{ThePort: [TheRefusal()]}}")
    for port, exceptions in refusals.items():
        if not isinstance(exceptions, Sequence) or isinstance(exceptions, str):
            raise ConfigurationError(f"refusals: {_name(port)} has {_shown(exceptions)}; put it in a list: [...]")


def _name(thing: Any) -> str:
    return getattr(thing, "__name__", None) or _shown(thing)


def _shown(thing: object) -> str:
    text = repr(thing)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"


_LONGEST = 80
