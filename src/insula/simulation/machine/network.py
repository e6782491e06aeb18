"""The network between simulated processes: it takes time, cuts connections, and splits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, Protocol, TypeVar

from insula.kernel.context import MessageContext
from insula.kernel.errors import Unavailable
from insula.messages import Envelope, decoder, encode
from insula.messaging.bus import Bus
from insula.simulation.machine.ground import Ground
from insula.simulation.machine.labels import alias
from insula.simulation.machine.process import SimulatedProcess
from insula.store.database import Database
from insula.store.log import Appended

Value = TypeVar("Value")

_FASTEST_SECONDS, _SLOWEST_SECONDS = 0.0005, 0.02
_SPLIT_CHECK_SECONDS = 4.0
_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 0.1, 2.0


class ConnectionLost(Unavailable):
    """The other side could not be reached, or did not answer; whether it did what was asked is not known."""


class Reachable(Protocol):
    """A service as its neighbours see it: `readable` once its databases are open, `ready` once it answers."""

    name: str
    process: SimulatedProcess | None
    ready: bool

    @property
    def readable(self) -> bool: ...

    @property
    def bus(self) -> Bus: ...

    def database(self, module: str) -> Database: ...


class Network:
    """Carries requests from one service to another. `services_of` says where each module runs: one, or its replicas."""

    def __init__(self, ground: Ground) -> None:
        self.services_of: dict[str, list[Reachable]] = {}
        self._ground = ground
        self._split_until: dict[str, float] = {}
        self._listeners: list[tuple[str, SimulatedProcess, Appended]] = []

    def splits(self, one: str, other: str) -> bool:
        """Whether two services cannot reach each other now; a new split begins at most every few seconds."""
        ground = self._ground
        if one == other or not ground.choices.faults_on:
            return False
        pair = " and ".join(sorted((one, other)))
        now = ground.loop.time()
        if now < self._split_until.get(pair, 0.0):
            return True
        period = int(now / _SPLIT_CHECK_SECONDS)
        checked = f"{pair} #{period}"
        if checked in self._split_until:
            return False
        self._split_until[checked] = 0.0
        key = f"{pair}, from {period * _SPLIT_CHECK_SECONDS:g} s"
        seconds = ground.fault("partition", key)
        if seconds is None:
            return False
        ground.record(
            "outside", "partition", f"{pair} for {seconds:g} s",
            choice=("partition", key), services=(one, other), seconds=seconds,
        )  # fmt: skip
        self._split_until[pair] = now + seconds
        return True

    def route(self, module: str, what: str, attempt: int = 0) -> Reachable:
        """The service to ask: of replicas the one that a balancer chose, and with each further attempt the next."""
        services = self.services_of[module]
        if len(services) == 1:
            return services[0]
        first = int(self._ground.choices.uniform("route", what) * len(services))
        return services[(first + attempt) % len(services)]

    async def request(
        self, origin: str, service: Reachable, what: str, action: Callable[[Any], Awaitable[Value]]
    ) -> Value:
        """Let the process of `service` do `action`, and bring back what it answers or raises.

        Parameters: `origin`, who asks; `what`, the choices' key. Raises ConnectionLost.
        """
        await self._travel(origin, service.name, what, "there", "reset-before")
        process = service.process
        if process is None or process.dead or not service.ready:
            raise ConnectionLost(f"{what}: nobody listens at {service.name}")
        answer = self._ground.loop.create_future()

        def cut() -> None:
            if not answer.done():
                answer.set_exception(ConnectionLost(f"{what}: {service.name} went away"))

        process.on_death.append(cut)
        process.spawn(_serve(process, service, action, answer, what), what)
        result: Value = await answer
        await self._travel(origin, service.name, what, "back", "reset-after")
        return result

    async def _travel(self, origin: str, other: str, what: str, way: str, reset: str) -> None:
        ground = self._ground
        await asyncio.sleep(ground.choices.latency(f"{what}, {way}", _FASTEST_SECONDS, _SLOWEST_SECONDS))
        if self.splits(origin, other):
            raise ConnectionLost(f"{origin} cannot reach {other}: the network is split")
        if ground.fault(reset, what) is not None:
            ground.record(origin, reset, what, choice=(reset, what), services=(other,))
            raise ConnectionLost(f"{what}: the connection was cut")

    async def reached(self, origin: str, module: str) -> Reachable:
        """Wait until the log of `module` can be read somewhere: a reader connects again until it is connected.

        Logs are read as soon as the databases are open. To cut such a connection would show nothing that a split does
        not show, and there are many of them, so they come and go without a word.
        """
        wait = _FIRST_WAIT_SECONDS
        while True:
            for service in self.services_of[module]:
                if service.readable and not _stands_still(service) and not self.splits(origin, service.name):
                    return service
            await asyncio.sleep(wait)
            wait = min(wait * 2, _LONGEST_WAIT_SECONDS)

    def listen(self, module: str, process: SimulatedProcess, listener: Appended) -> None:
        """Tell `process` over the network when a module's log grows."""
        self._listeners.append((module, process, listener))
        process.on_death.append(lambda: self._forget(process))

    def _forget(self, process: SimulatedProcess) -> None:
        self._listeners = [each for each in self._listeners if each[1] is not process]

    def appended(self, module: str, origin: str, types: frozenset[str]) -> None:
        """A log has grown: tell whoever listens and can be reached."""
        for source, process, listener in self._listeners:
            if source == module and not self.splits(origin, process.name):
                self._ground.loop.call_later(_FASTEST_SECONDS, listener, types, context=process.context)


async def _serve(
    process: SimulatedProcess,
    service: Reachable,
    action: Callable[[Any], Awaitable[Value]],
    answer: asyncio.Future[Value],
    what: str,
) -> None:
    """The other side of a request."""
    try:
        value = await action(service)
    except Exception as error:
        if not answer.done():
            answer.set_exception(error)
        return
    await process.boundary(f"before the answer to {what}")
    if not answer.done():
        answer.set_result(value)


def _stands_still(service: Reachable) -> bool:
    return service.process is not None and service.process.paused


class RemoteLog:
    """The log of a module in another process. Implements `Log`."""

    def __init__(self, process: SimulatedProcess, network: Network, module: str) -> None:
        self._process = process
        self._network = network
        self._module = module

    @property
    def name(self) -> str:
        """The module's name."""
        return self._module

    async def log_after(self, position: int, types: Collection[str], limit: int) -> Sequence[Envelope]:
        """Ask the other process, which takes a moment."""
        choices = self._process.world.choices
        what = choices.number(f"{self._process.name} reads the log of {self._module}")
        await asyncio.sleep(choices.latency(what, 2 * _FASTEST_SECONDS, 2 * _SLOWEST_SECONDS))
        return await (await self._database()).log_after(position, types, limit)

    async def log_count(self, position: int, types: Collection[str]) -> int:
        """Ask the other process."""
        return await (await self._database()).log_count(position, types)

    async def log_first(self) -> int:
        """Ask the other process."""
        return await (await self._database()).log_first()

    async def log_head(self) -> int:
        """Ask the other process."""
        return await (await self._database()).log_head()

    async def _database(self) -> Database:
        service = await self._network.reached(self._process.name, self._module)
        return service.database(self._module)

    def on_append(self, listener: Appended) -> None:
        """Tell this process, unless the network is split by then."""
        self._network.listen(self._module, self._process, listener)


class SimulatedNeighbours:
    """Reaches the other processes of a simulation. Implements `Neighbours`."""

    def __init__(self, process: SimulatedProcess, network: Network) -> None:
        self._process = process
        self._network = network

    def log_of(self, module: str) -> RemoteLog:
        """The log of a module elsewhere."""
        return RemoteLog(self._process, self._network, module)

    async def call(self, module: str, message: Any, context: MessageContext) -> Any:
        """Send a command or query over the network, as JSON there and back."""
        ground, cls = self._process.world, type(message)
        label = f"{cls.__message_name__}[{alias(context.correlation_id, ground.aliases)}]"
        what = ground.choices.number(f"{self._process.name} asks {module}: {label}")
        data, service = encode(message), self._network.route(module, what)

        async def answer(service: Reachable) -> Any:
            return await service.bus.deliver(decoder(cls)(data), context)

        ground.record(self._process.name, "ask", what, services=(service.name,), detail=repr(message))
        value = await self._network.request(self._process.name, service, what, answer)
        ground.record(self._process.name, "told", what, services=(service.name,), detail=repr(value))
        return value
