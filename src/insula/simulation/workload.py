"""What the simulated users do, and the client through which they do it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextvars import ContextVar
from typing import Any, TypeAlias, TypeVar, overload

from insula.kernel.context import ANONYMOUS, Caller
from insula.kernel.errors import Failure, Rejection
from insula.kernel.ids import INSULA_NAMESPACE, derive
from insula.kernel.randomness import SeededRandomness
from insula.messages import Command, Message, Query, decoder, encode
from insula.modules import Assembly, Module
from insula.simulation.machine.ground import Ground
from insula.simulation.machine.http import Response, answer_request
from insula.simulation.machine.network import Network

R = TypeVar("R")
T = TypeVar("T")

Workload: TypeAlias = "Sequence[Command[Any] | Query[Any]] | Callable[[Client], Coroutine[Any, Any, object]]"

_SPREAD_SECONDS = 2.0
_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 0.2, 10.0
_SERVER_ERRORS = 500

_flow: ContextVar[str] = ContextVar("insula_simulated_flow", default="")


class Dropped(Exception):
    """This operation was left out, to find a shorter way to the failure; the flow that asked for it ends here."""


class Client:
    """A user of the system: asks again under the same id until there is an answer, as good clients do.

    Each call is an *operation*, numbered in the order of its flow: "3", or "2.1" for the first of the second of those
    begun together.
    """

    def __init__(self, ground: Ground, network: Network, assembly: Assembly, prefix: str = "") -> None:
        self._ground = ground
        self._network = network
        self._assembly = assembly
        self._prefix = prefix
        self._counts: dict[str, int] = {}
        self._chance = SeededRandomness(f"{ground.choices.seed}/workload")
        self.rejections: list[str] = []
        self.operations: list[str] = []
        self._slept = False
        self.waiting: dict[str, str] = {}
        """Operations without an answer yet, and what came instead of one last time."""

    @property
    def idle(self) -> bool:
        """Whether nothing was asked for, and no time let pass either."""
        return not self.operations and not self._slept

    # -- a seeded source of choices

    def random(self) -> float:
        """A number in [0, 1), the same for the same seed."""
        return self._chance.random()

    def choose(self, options: Sequence[T]) -> T:
        """One of several, the same for the same seed."""
        return options[int(self._chance.random() * len(options))]

    async def sleep(self, seconds: float) -> None:
        """Wait in virtual time."""
        self._slept = True
        await asyncio.sleep(seconds)

    async def together(self, *flows: Coroutine[Any, Any, object]) -> None:
        """Run flows at the same time; one that a rejection ends does not end the others."""
        prefix = _flow.get()

        async def run(number: int, flow: Coroutine[Any, Any, object]) -> None:
            _flow.set(f"{prefix}{number}.")
            await ended(flow)

        await asyncio.gather(*(run(number, flow) for number, flow in enumerate(flows, 1)))

    # -- operations

    @overload
    async def call(self, message: Command[R], *, caller: Caller = ANONYMOUS) -> R: ...

    @overload
    async def call(self, message: Query[R], *, caller: Caller = ANONYMOUS) -> R: ...

    async def call(self, message: Any, *, caller: Caller = ANONYMOUS) -> Any:
        """Send a command or query to whoever handles it; raises its Rejection."""
        return await self.operate(self._next_name(), message, caller)

    async def operate(self, name: str, message: Any, caller: Caller = ANONYMOUS) -> Any:
        """The same as an operation with a name of its own."""
        cls = type(message)
        message_id = self._begin(name)
        module = self._assembly.handlers[cls][0].name
        data = encode(message)

        async def answer(service: Any) -> Any:
            return await service.bus.call(decoder(cls)(data), message_id=message_id, caller=caller)

        return await self._until_answered(module, f"{cls.__message_name__}[{name}]", repr(message), answer)

    async def request(
        self, method: str, path: str, *, json: object = None, headers: dict[str, str] | None = None,
        to: Module | None = None,
    ) -> Response:  # fmt: skip
        """Send an HTTP request, with an Idempotency-Key unless there is one; asked again after a 5xx.

        Parameters: `to`, the module whose process answers (default: the system's first).
        """
        name = self._next_name()
        key = self._begin(name)
        module = to or self._assembly.system.modules[0]
        fields = {"idempotency-key": key, **{field.lower(): value for field, value in (headers or {}).items()}}
        body = b"" if json is None else encode(json)

        async def answer(service: Any) -> Response:
            response = await answer_request(await service.http_face(), method, path, fields, body)
            if response.status >= _SERVER_ERRORS:
                raise Failure(f"{method} {path}: {response.status}")
            return response

        return await self._until_answered(module.name, f"{method} {path}[{name}]", body.decode(), answer)

    def _next_name(self) -> str:
        prefix = _flow.get()
        number = self._counts.get(prefix, 0) + 1
        self._counts[prefix] = number
        return f"{prefix}{number}"

    def _begin(self, name: str) -> str:
        """The message id of an operation. Raises Dropped if it is left out."""
        self.operations.append(name)
        if name in self._ground.choices.dropped:
            raise Dropped(name)
        message_id = derive(INSULA_NAMESPACE, f"operation {self._prefix}{name}")
        self._ground.aliases[message_id] = name
        return message_id

    async def _until_answered(self, module: str, label: str, content: str, action: Callable[[Any], Awaitable[R]]) -> R:
        ground, wait, attempt = self._ground, _FIRST_WAIT_SECONDS, 0
        while True:
            service = self._network.route(module, label, attempt)
            asked = (service.name,)
            what = ground.choices.number(f"client → {service.name}: {label}")
            ground.record("client", "call", what, services=asked, detail=content)
            try:
                answer = await self._network.request("client", service, what, action)
            except Rejection as no:
                self.waiting.pop(label, None)
                self.rejections.append(f"{label}: {no}")
                ground.record("client", "rejected", f"{label}: {no}", services=asked)
                raise
            except Exception as error:  # as a client sees it: some 5xx, or no answer
                self.waiting[label] = f"{type(error).__name__}: {error}"
                ground.record("client", "failed", f"{label}: {type(error).__name__}", services=asked)
            else:
                self.waiting.pop(label, None)
                ground.record("client", "answered", label, services=asked)
                return answer
            await asyncio.sleep(wait)
            wait, attempt = min(wait * 2, _LONGEST_WAIT_SECONDS), attempt + 1


async def ended(flow: Awaitable[object]) -> None:
    """Wait for a flow; a "no" and an operation left out are ends like any other."""
    try:
        await flow
    except (Rejection, Dropped):
        return


async def carry_out(workload: Workload, client: Client, ground: Ground) -> None:
    """Do what the users do, to its end."""
    if callable(workload):
        await ended(workload(client))
        return

    async def one(number: int, message: Message) -> None:
        await asyncio.sleep(ground.choices.latency(f"operation {number} begins", 0.05 * number, _SPREAD_SECONDS))
        await client.operate(str(number), message)

    flows = [ended(one(number, message)) for number, message in enumerate(workload, 1)]
    await asyncio.gather(*flows)
