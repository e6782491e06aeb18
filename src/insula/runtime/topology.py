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

_LARGEST_PORT = 65_535


@dataclass(frozen=True, slots=True)
class PlannedProcess:
    """One process of a topology.

    Parameters: `name`, that of its group, with a number where it has replicas; `modules`, that run in it; `port`.
    """

    name: str
    modules: tuple[str, ...]
    port: int


@dataclass(frozen=True, slots=True)
class TopologyPlan:
    """A topology, checked against the system that runs in it.

    Parameters: `name`; `database`, the address of the modules' databases with `{module}` in it, "local" or empty for
    SQLite files; `transport`, the broker's address, "local" or empty for none; `host`; `processes`, in order.
    """

    name: str
    database: str
    transport: str
    host: str
    processes: Sequence[PlannedProcess]

    def process(self, name: str) -> PlannedProcess:
        """The process of that name. Raises ConfigurationError."""
        for process in self.processes:
            if process.name == name:
                return process
        names = [process.name for process in self.processes]
        raise ConfigurationError(f"topology {self.name} has no process {name!r}; {_did_you_mean(name, names)}")

    def url(self, process: PlannedProcess) -> str:
        """Where a process takes requests."""
        return f"http://{self.host}:{process.port}"

    def addresses(self) -> Mapping[str, Sequence[str]]:
        """Where each module is reached: a URL for each process that runs it."""
        found: dict[str, list[str]] = {}
        for process in self.processes:
            for module in process.modules:
                found.setdefault(module, []).append(self.url(process))
        return found


def planned(system: System, configuration: Configuration, name: str) -> TopologyPlan:
    """The plan of a topology of insula.toml.

    Modules that it does not place have a process of their own each. "local" is one process with all of them, unless
    the file says otherwise.
    Raises ConfigurationError for an unknown topology, a module that is not there or in two processes, and what SQLite
    or a missing broker cannot do.
    """
    where = f"[topology.{name}]"
    section = configuration.topology.get(name)
    if section is None:
        if name != LOCAL:
            known = [*configuration.topology, LOCAL]
            raise ConfigurationError(f"insula.toml has no {where}; {_did_you_mean(name, known)}")
        everything = Processes(modules=tuple(module.name for module in system.modules), port=configuration.http.port)
        section = Topology(processes={system.name: everything})
    groups = _with_the_rest(section.processes, [module.name for module in system.modules], where)
    _check_possible(section, groups, where)
    processes = tuple(_placed(groups, section.first_port, where))
    return TopologyPlan(name, section.database, section.transport, configuration.http.host, processes)


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
    if section.database and section.database != LOCAL and "{module}" not in section.database:
        raise ConfigurationError(
            f"{where} database: no {{module}} in the address, and each module has its own database"
        )


def _placed(groups: Mapping[str, Processes], first_port: int, where: str) -> Iterator[PlannedProcess]:
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
            yield PlannedProcess(name, processes.modules, port)
            port += 1


def _did_you_mean(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"{f'did you mean {near[0]}? ' if near else ''}there are {', '.join(known)}"
