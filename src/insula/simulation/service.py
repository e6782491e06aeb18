"""A service of the simulated system: some modules, in one process after another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from insula.kernel.errors import InsulaError
from insula.messaging.bus import Bus
from insula.runtime.application import Application
from insula.runtime.process import http_face
from insula.runtime.wiring import Wired
from insula.simulation.machine.ground import Ground
from insula.simulation.machine.http import start_lifespan
from insula.simulation.machine.network import Network
from insula.simulation.machine.process import SimulatedProcess
from insula.simulation.setting import Setting
from insula.store.database import Database

_START_AGAIN_SECONDS = 1.0


class Service:
    """Some modules that share a process.

    Parameters: `ground` and `network` of the run; `name`; `modules`, by name; `setting`, how their application is made.
    """

    def __init__(self, ground: Ground, network: Network, name: str, modules: Sequence[str], setting: Setting) -> None:
        self._ground = ground
        self._network = network
        self.name = name
        self.modules = modules
        self.ready = False
        self.process: SimulatedProcess | None = None
        self.application: Application | None = None
        self._setting = setting
        self._face: Any = None
        self._lives = 0

    def start(self) -> None:
        """Begin a new life."""
        ground = self._ground
        process = SimulatedProcess(ground, self.name, self._lives)
        self._lives += 1
        self.process = process
        if self._lives > 1:
            ground.record(self.name, "start", f"life {self._lives}")
        key = f"{self.name}, life {self._lives}"
        process.skew = ground.fault("clock-skew", key) or 0.0
        if process.skew:
            ground.record(
                self.name, "clock-skew", f"by {process.skew:g} s in life {self._lives}", choice=("clock-skew", key)
            )
        death = ground.fault("crash-anywhere", key)
        if death is not None:
            process.dies_at_step, process.downtime_seconds = death
        process.spawn(self._live(process), "main")

    async def _live(self, process: SimulatedProcess) -> None:
        application = self._setting.application(process, self._network, self.modules)
        self.application = application
        try:
            await application.__aenter__()
        except InsulaError as error:  # a full disk, say: a supervisor would start it again
            self._ground.record(self.name, "failed", f"could not start: {error}")
            self._ground.crash(process, "while it starts", _START_AGAIN_SECONDS)
            return
        self.ready = True

    def fell(self, process: SimulatedProcess | None) -> None:
        """Take the dead process's hands off everything it held."""
        self.ready = False
        if self.application is not None:
            self.application.let_go()
        self.application = self._face = None
        if self.process is process:
            self.process = None

    @property
    def readable(self) -> bool:
        """Whether its databases are open."""
        return self.application is not None and self.application.opened

    @property
    def moves_messages(self) -> bool:
        """Whether it is the one of its replicas that does, or believes to be."""
        return self.application is not None and self.application.moves_messages

    @property
    def wired(self) -> Wired:
        """The parts of the running application."""
        if self.application is None:
            raise RuntimeError(f"{self.name} does not run")
        return self.application.wired

    @property
    def bus(self) -> Bus:
        """The running application's bus."""
        return self.wired.bus

    async def http_face(self) -> Any:
        """The system's ASGI application in this process, its lifespan begun."""
        if self._face is None:
            if self.application is None:
                raise RuntimeError(f"{self.name} does not run")
            face = http_face(self.application)
            await start_lifespan(face)
            self._face = face
        return self._face

    def database(self, module: str) -> Database:
        """A module's database in the running application."""
        return self.wired.databases[module]
