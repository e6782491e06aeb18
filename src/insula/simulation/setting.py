"""How the application of a simulated process is made: real code on simulated ground."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from insula.modules import Assembly
from insula.runtime.application import Application
from insula.runtime.configuration import Configuration
from insula.runtime.surroundings import Surroundings
from insula.runtime.wiring import Wired
from insula.simulation.machine.delivery import Delivery
from insula.simulation.machine.disk import SimulatedCommitter
from insula.simulation.machine.network import Network, SimulatedNeighbours
from insula.simulation.machine.outside import Outside
from insula.simulation.machine.process import SimulatedProcess
from insula.simulation.machine.server import DatabaseServer

Change = Callable[[SimulatedProcess, Network, Wired], None]
"""Changes the parts of one process, given as it starts."""


@dataclass(frozen=True)
class Mutation:
    """One way in which the framework could be broken: would your invariants notice?

    Parameters: `name`; `description`; `begin`, called once a run, makes what is done to each process of that run.
    """

    name: str
    description: str
    begin: Callable[[], Change]


@dataclass
class Setting:
    """What every process of one run shares.

    Parameters: `assembly`; `configuration`; `directory` of the databases; `stand_ins`, port -> what stands for the
    system outside in this run; `refusals`, port -> how it may say no; `change`, what a mutation does to each process.
    """

    assembly: Assembly
    configuration: Configuration
    directory: Path
    stand_ins: Mapping[type, Any] = field(default_factory=dict)
    refusals: Mapping[type, Sequence[Exception]] = field(default_factory=dict)
    change: Change | None = None
    _servers: dict[str, DatabaseServer] = field(default_factory=dict)

    def application(self, process: SimulatedProcess, network: Network, modules: Sequence[str]) -> Application:
        """The application of one process, not yet started."""

        def before(port: type, adapter: Any) -> Outside:
            return Outside(process, port, adapter, self.refusals.get(port, ()))

        neighbours = SimulatedNeighbours(process, network)
        surroundings = Surroundings(
            clock=process.clock,
            randomness=process.randomness,
            committer=partial(SimulatedCommitter, process),
            threads=False,
            sole_process=True,
            deliver=partial(Delivery, process),
            neighbours=neighbours,
            holder=process.name if any(len(network.services_of[module]) > 1 for module in modules) else "",
            server=lambda module: self._server_of(module, network).link(process),
            log_elsewhere=neighbours.log_of,
            adapters=self.stand_ins,
            before=before,
            after_wiring=None if self.change is None else partial(self.change, process, network),
        )
        return Application(
            self.assembly.system, self.configuration, directory=self.directory, surroundings=surroundings, only=modules,
            assembly=self.assembly,
        )  # fmt: skip

    def _server_of(self, module: str, network: Network) -> DatabaseServer:
        """The one server of a module's database, which all its processes share."""
        return self._servers.setdefault(module, DatabaseServer(network, module))
