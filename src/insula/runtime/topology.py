"""Which modules run in which process, where each process is reached, and what lies between them."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from insula.kernel.errors import ConfigurationError
from insula.modules import System
from insula.runtime.configuration import Configuration, Processes, Topology

LOCAL = "local"
"""The topology that needs no configuration: one process, SQLite files. As an address: a server started from a wheel."""

SERVICES = "services"
"""Another one that needs none: a process for each module, with PostgreSQL and NATS from their wheels."""

_LARGEST_PORT = 65_535


@dataclass(frozen=True, slots=True)
class PlannedProcess:
    """One process of a topology.

    Parameters: `name`, that of its group, with a number where it has replicas; `modules`, that run in it; `port`;
    `replicas`, how many there are alike; `url`, where the others reach it.
    """

    name: str
    modules: tuple[str, ...]
    port: int
    replicas: int
    url: str


@dataclass(frozen=True, slots=True)
class TopologyPlan:
    """A topology, checked against the system that runs in it.

    Parameters: `name`; `database`, the address of the modules' databases with `{module}` in it, "local" or empty for
    SQLite files; `transport`, the broker's address, "local" or empty for none; `token_file`, which holds what the
    processes show each other, empty for one that `insula up` makes; `processes`, in order.
    """

    name: str
    database: str
    transport: str
    token_file: str
    processes: Sequence[PlannedProcess]

    def process(self, name: str) -> PlannedProcess:
        """The process of that name, or the one that runs these modules, separated by commas.

        Raises ConfigurationError when there is none, or more than one.
        """
        modules = {part.strip() for part in name.split(",")}
        found = [each for each in self.processes if each.name == name]
        found = found or [each for each in self.processes if set(each.modules) == modules]
        if len(found) == 1:
            return found[0]
        if found:
            alike = ", ".join(each.name for each in found)
            raise ConfigurationError(f"topology {self.name} runs {name} in {len(found)} processes; name one: {alike}")
        names = [process.name for process in self.processes]
        raise ConfigurationError(f"topology {self.name} has no process {name!r}; {_did_you_mean(name, names)}")

    def addresses(self) -> Mapping[str, Sequence[str]]:
        """Where each module is reached: a URL for each process that runs it."""
        found: dict[str, list[str]] = {}
        for process in self.processes:
            for module in process.modules:
                found.setdefault(module, []).append(process.url)
        return found


def planned(system: System, configuration: Configuration, name: str) -> TopologyPlan:
    """The plan of a topology of insula.toml.

    Modules that it does not place have a process of their own each. "local" is one process with all of them, and
    "services" one for each, unless the file says otherwise.
    Raises ConfigurationError for an unknown topology, a module that is not there or in two processes, and what SQLite
    or a missing broker cannot do.
    """
    where = f"[topology.{name}]"
    section = configuration.topology.get(name)
    if section is None:
        section = _without_configuration(system, configuration, name)
    groups = _with_the_rest(section.processes, [module.name for module in system.modules], where)
    _check_possible(section, groups, where)
    processes = tuple(_placed(groups, configuration.http.host, section.first_port, where))
    return TopologyPlan(name, section.database, section.transport, section.token_file, processes)


def _without_configuration(system: System, configuration: Configuration, name: str) -> Topology:
    if name == SERVICES:
        return Topology(database=LOCAL, transport=LOCAL)
    if name == LOCAL:
        everything = Processes(modules=tuple(module.name for module in system.modules), port=configuration.http.port)
        return Topology(processes={system.name: everything})
    known = list(dict.fromkeys([*configuration.topology, LOCAL, SERVICES]))
    raise ConfigurationError(f"insula.toml has no [topology.{name}]; {_did_you_mean(name, known)}")


def _with_the_rest(placed: Mapping[str, Processes], modules: Sequence[str], where: str) -> dict[str, Processes]:
    counts = Counter(module for processes in placed.values() for module in processes.modules)
    for name, processes in placed.items():
        if not processes.modules:
            raise ConfigurationError(f"{where} processes.{name}: modules is empty; name those that run in it")
        for module in processes.modules:
            if module not in modules:
                raise ConfigurationError(
                    f"{where} processes.{name}: the system has no module {module!r}; {_did_you_mean(module, modules)}"
                )
    for module, count in counts.items():
        if count > 1:
            raise ConfigurationError(
                f"{where}: module {module} runs in {count} processes; name it in one, and write replicas=N there for "
                "several alike"
            )
    return {**placed, **{module: Processes(modules=(module,)) for module in modules if module not in counts}}


def _check_possible(section: Topology, groups: Mapping[str, Processes], where: str) -> None:
    for name, processes in groups.items():
        if processes.replicas > 1 and not section.database:
            raise ConfigurationError(
                f"{where} processes.{name}: replicas={processes.replicas} need a database that several processes can "
                'share; write database = "postgresql://…/{module}", or "local" for one started here'
            )
    if sum(processes.replicas for processes in groups.values()) > 1 and not section.transport:
        raise ConfigurationError(
            f'{where}: several processes need a broker between them; write transport = "nats://…", or "local" for one '
            "started here"
        )
    for name, processes in groups.items():
        if processes.address and processes.replicas > 1:
            raise ConfigurationError(
                f"{where} processes.{name}: one address for {processes.replicas} replicas; leave replicas to "
                "what stands behind the address, or leave out the address"
            )
    if section.database and section.database != LOCAL and "{module}" not in section.database:
        raise ConfigurationError(
            f"{where} database: no {{module}} in the address, and each module has its own database"
        )


def _placed(groups: Mapping[str, Processes], host: str, first_port: int, where: str) -> Iterator[PlannedProcess]:
    port, taken = first_port, dict[int, str]()
    for group, processes in groups.items():
        port = processes.port or port
        for number in range(1, processes.replicas + 1):
            name = group if processes.replicas == 1 else f"{group}-{number}"
            if port > _LARGEST_PORT:
                raise ConfigurationError(f"{where}: {name} would take port {port}; write a lower first_port")
            if port in taken:
                raise ConfigurationError(f"{where}: {name} and {taken[port]} both take port {port}; change one")
            taken[port] = name
            url = processes.address.rstrip("/") or f"http://{host}:{port}"
            yield PlannedProcess(name, processes.modules, port, processes.replicas, url)
            port += 1


def _did_you_mean(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"{f'did you mean {near[0]}? ' if near else ''}there are {', '.join(known)}"
