"""The database server of modules that run in several processes: it outlives them all, and each reaches it or not."""

from __future__ import annotations

from typing import Protocol

from insula.kernel.errors import Unavailable
from insula.simulation.machine.network import Network
from insula.simulation.machine.process import SimulatedProcess, current_process

_NOTIFY_AFTER_SECONDS = 0.05
_TRAVEL_SECONDS = 0.0005
_LOOK_SECONDS = 20.0


class Session(Protocol):
    """What a process has open at the server."""

    def heard(self, types: frozenset[str]) -> None: ...
    def roll_back(self) -> None: ...


class DatabaseServer:
    """Knows every session to one module's database, and carries notifications between them.

    Notifications are collected for a moment and not kept for anybody: they get lost with a process that dies before it
    has sent them, with a split, and by chance. So whoever listens also looks now and then.
    """

    def __init__(self, network: Network, module: str) -> None:
        self.network = network
        self.name = f"database of {module}"
        self.links: list[Link] = []

    def link(self, process: SimulatedProcess) -> Link:
        """A way for a process to get here."""
        return Link(self, process)


class Link:
    """One process's connection to a server. Implements the adapter's `Server`."""

    def __init__(self, server: DatabaseServer, process: SimulatedProcess) -> None:
        self.process = process
        self._server = server
        self._session: Session | None = None
        self._types: frozenset[str] | None = None

    def reach(self) -> None:
        """Raise `Unavailable` while the network is split; who looks from outside sees everything."""
        outside = current_process.get(None) is not self.process
        if not outside and self._server.network.splits(self.process.name, self._server.name):
            raise Unavailable(f"{self.process.name} cannot reach the {self._server.name}: the network is split")

    def now(self) -> float:
        """Virtual seconds, which every server knows."""
        return self.process.world.loop.time()

    def joined(self, session: Session) -> None:
        """The process has a session now, until it dies."""
        self._session = session
        self._server.links.append(self)
        self.process.on_death.append(lambda: self._server.links.remove(self))
        self.process.on_pause.append(session.roll_back)
        self._look()

    def _look(self) -> None:
        loop = self.process.world.loop
        loop.call_later(_LOOK_SECONDS, self._looked, context=self.process.context)

    def _looked(self) -> None:
        self._hear(frozenset())
        self._look()

    def appended(self, types: frozenset[str]) -> None:
        """Tell the other sessions, soon; what grows meanwhile is told together."""
        if self._types is not None:
            self._types |= types
            return
        self._types = types
        self.process.world.loop.call_later(_NOTIFY_AFTER_SECONDS, self._notify, context=self.process.context)

    def _notify(self) -> None:
        types, self._types = self._types or frozenset(), None
        process, world, server = self.process, self.process.world, self._server
        for link in server.links:
            if link is self:
                continue
            other = link.process
            what = world.choices.number(f"{process.name} tells {other.name} that the {server.name} has grown")
            if world.fault("loss", what) is not None:
                world.record(other.name, "loss", what, choice=("loss", what))
                continue
            if not any(server.network.splits(each.name, server.name) for each in (process, other)):
                world.loop.call_later(_TRAVEL_SECONDS, link._hear, types, context=other.context)  # noqa: SLF001

    def _hear(self, types: frozenset[str]) -> None:
        if self._session is not None:
            self._session.heard(types)
