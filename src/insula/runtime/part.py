"""One process of a topology: what runs in it, and what it stands on."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path

import msgspec

from insula.adapters.http.neighbours import HttpNeighbours
from insula.kernel.clock import SystemClock
from insula.kernel.errors import ConfigurationError
from insula.modules import System
from insula.runtime import presence
from insula.runtime.configuration import Configuration
from insula.runtime.local.addresses import Addresses
from insula.runtime.surroundings import Surroundings
from insula.runtime.topology import LOCAL, TopologyPlan, planned
from insula.runtime.transports import transport_of


@dataclass(frozen=True)
class Part:
    """One process of a topology.

    Parameters: `name`; `modules`, that run in it; `configuration`, as it is for this process; `surroundings`;
    `call_token`, with which the other processes call; `home`, where tools find it.
    """

    name: str
    modules: tuple[str, ...]
    configuration: Configuration
    surroundings: Surroundings
    call_token: str
    home: Path


def resolved(configuration: Configuration, plan: TopologyPlan) -> Configuration:
    """The configuration with the topology's databases in it.

    Raises ConfigurationError when they are on a server of `insula up` that does not run.
    """
    store = configuration.store
    if plan.database == LOCAL:
        here = Addresses.read(Path(store.directory))
        store = msgspec.structs.replace(store, address=here.database, password_file=here.password_file)
    elif plan.database:
        store = msgspec.structs.replace(store, address=plan.database)
    return msgspec.structs.replace(configuration, store=store)


def part_of(system: System, configuration: Configuration, topology: str, which: str | None = None) -> Part:
    """One process of a topology, ready to be run.

    Parameters: `which`, its name or its modules separated by commas; None where there is only one.
    Raises ConfigurationError.
    """
    plan = planned(system, configuration, topology)
    if which is None and len(plan.processes) > 1:
        names = ", ".join(process.name for process in plan.processes)
        raise ConfigurationError(
            f"topology {plan.name} has {len(plan.processes)} processes; name the one to run with --only ({names}), or "
            "run all of them with `insula up`"
        )
    process = plan.processes[0] if which is None else plan.process(which)
    directory = Path(configuration.store.directory)
    clock = SystemClock()
    settled = resolved(configuration, plan)
    token = _token(plan, directory)
    elsewhere = {name: urls for name, urls in plan.addresses().items() if name not in process.modules}
    broker = Addresses.read(directory).transport if plan.transport == LOCAL else plan.transport
    surroundings = Surroundings(
        clock=clock,
        neighbours=HttpNeighbours(elsewhere, token, clock) if elsewhere else None,
        transport=transport_of(broker, system.name) if broker else None,
        # Also where one process is planned: its successor may begin before it ends.
        holder=f"{process.name}@{socket.gethostname()}" if settled.store.address else "",
    )
    http = msgspec.structs.replace(settled.http, port=process.port)
    home = directory if len(plan.processes) == 1 else directory / presence.PARTS / process.name
    return Part(
        process.name, process.modules, msgspec.structs.replace(settled, http=http), surroundings, token, home
    )  # fmt: skip


def _token(plan: TopologyPlan, directory: Path) -> str:
    """What the processes show each other when they call."""
    if len(plan.processes) == 1:
        return ""
    file = Path(plan.token_file) if plan.token_file else Addresses.token_file(directory)
    try:
        token = file.read_text(encoding="utf-8").strip()
    except OSError as error:
        hint = "" if plan.token_file else "; `insula up` makes it, or name one: token_file in the topology"
        raise ConfigurationError(f"[topology.{plan.name}]: {file}: {error.strerror}{hint}") from error
    if not token:
        raise ConfigurationError(f"[topology.{plan.name}]: {file} is empty; write a long random word into it")
    return token
