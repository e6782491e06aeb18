"""What a running system tells and lets its operator change. The endpoint asks for the token of `presence`."""

from __future__ import annotations

import hmac
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from insula.kernel.errors import InsulaError
from insula.messaging.epoch import in_log
from insula.messaging.receiver import Receiver
from insula.runtime.application import Application
from insula.runtime.flagging import FlagsStatus, flags_status
from insula.store.database import ParkedState
from insula.store.log import Lag
from insula.store.measures import DatabaseMeasures


class ModuleStatus(msgspec.Struct, frozen=True):
    """How one module stands."""

    module: str
    log: int
    parked: int
    dead: int
    delayed: int
    handled: int
    unnumbered: int = 0
    """Messages that are committed and have no place in the log yet."""
    oldest_transaction_seconds: float = 0.0
    """How long the oldest transaction of anybody else is open in the module's database, if it can be told."""
    oldest_transaction: str = ""
    database: DatabaseMeasures | None = None
    """What it counts of itself; None for a file."""


class RelayStatus(msgspec.Struct, frozen=True):
    """How far one module has read another's log."""

    source: str
    subscriber: str
    position: int
    head: int
    waiting: int


class PublisherStatus(msgspec.Struct, frozen=True):
    """How far the broker has one module's log."""

    source: str
    position: int
    head: int
    waiting: int


class SubscriberStatus(msgspec.Struct, frozen=True):
    """How one module reads what another one publishes to the broker; `missing` partitions wait for what was lost."""

    source: str
    subscriber: str
    position: int
    missing: int


class Status(msgspec.Struct, frozen=True):
    """How a process of a running system stands.

    Where it does not move messages, between its modules and to the broker, another with its modules does that.
    """

    system: str
    ready: bool
    modules: list[ModuleStatus]
    relays: list[RelayStatus]
    publishers: list[PublisherStatus] = []
    subscribers: list[SubscriberStatus] = []
    moves_messages: bool = True
    shares: list[int] = []
    """The shares of what the broker brings that this process moves."""
    flags: list[FlagsStatus] = []


async def status_of(application: Application) -> Status:
    """Measure every log, relay and parking place."""
    wired = application.wired
    modules = []
    for name, database in wired.databases.items():
        parked, head = await database.parked_counts(), await database.log_head()
        dead, handled = parked.get(ParkedState.DEAD, 0), wired.receivers[name].handled
        (delayed,) = (await database.read("select count(*) from insula_timer where schedule = ''"))[0]
        lag = await measured() if (measured := getattr(database, "lag", None)) is not None else Lag(0, 0.0)
        counted = measures() if (measures := getattr(database, "measures", None)) is not None else None
        modules.append(
            ModuleStatus(
                name, head, sum(parked.values()), dead, delayed, handled, database=counted, unnumbered=lag.unnumbered,
                oldest_transaction_seconds=lag.oldest_transaction_seconds, oldest_transaction=lag.oldest_transaction,
            )
        )  # fmt: skip
    relays, publishers = [], []
    if application.moves_messages:
        for relay in wired.relays:
            waiting = await relay.source.log_count(relay.position, relay.receiver.types)
            head = await relay.source.log_head()
            relays.append(RelayStatus(relay.source.name, relay.receiver.module, relay.position, head, waiting))
        for each in wired.publishers:
            head = await wired.databases[each.source].log_head()
            publishers.append(PublisherStatus(each.source, each.position, head, await each.waiting()))
    return Status(
        application.system.name, application.ready, modules, relays, publishers, _reading(application),
        moves_messages=application.moves_messages, shares=list(application.movement.shares), flags=flags_status(),
    )  # fmt: skip


def _reading(application: Application) -> list[SubscriberStatus]:
    """How far this process has read what the broker brings, all its shares of a source together."""
    found: dict[tuple[str, str], SubscriberStatus] = {}
    for each in application.wired.subscribers:
        if each.share in application.movement.shares:
            key = each.source, each.receiver.module
            before = found.get(key)
            position, missing = in_log(each.saved), len(each.gaps)
            if before is not None:
                position, missing = max(position, before.position), missing + before.missing
            found[key] = SubscriberStatus(*key, position, missing)
    return list(found.values())


class Asked(msgspec.Struct, frozen=True):
    """What an extraction is asked for: where to, or whether the source goes at its end."""

    address: str = ""
    password_file: str = ""
    remove: bool = False


class Admin:
    """The admin routes of one running application. Parameters: `token`, which every request must carry."""

    def __init__(self, application: Application, token: str) -> None:
        self._application = application
        self._expected = f"Bearer {token}".encode()

    def routes(self) -> list[Route]:
        """Routes for the ASGI application to serve."""
        return [
            Route("/_insula/status", self._status, methods=["GET"]),
            Route("/_insula/dead-letters/{module}/{action}", self._dead_letters, methods=["POST"]),
            Route("/_insula/extractions/{module}", self._extraction, methods=["GET"]),
            Route("/_insula/extractions/{module}/{action}", self._extraction, methods=["POST"]),
        ]

    def _refused(self, request: Request) -> Response | None:
        given = request.headers.get("authorization", "").encode()
        if hmac.compare_digest(given, self._expected):
            return None
        return _answer(
            {"title": "Unauthorized", "status": 401, "detail": "this endpoint asks for the admin token"}, 401
        )

    async def _status(self, request: Request) -> Response:
        return self._refused(request) or _answer(await status_of(self._application))

    async def _dead_letters(self, request: Request) -> Response:
        refused = self._refused(request)
        if refused is not None:
            return refused
        module, action = request.path_params["module"], request.path_params["action"]
        receiver = self._application.wired.receivers.get(module)
        if receiver is None or action not in ("retry", "drop"):
            return _answer({"title": "Not Found", "status": 404, "detail": f"{module}: {action}"}, 404)
        chosen = msgspec.json.decode(await request.body(), type=list[int])
        changed = await self._change(action, receiver, chosen)
        if changed is None:
            return _answer({"title": "Not Found", "status": 404, "detail": f"{module}: {action}"}, 404)
        return _answer({"changed": changed})

    async def _change(self, action: str, receiver: Receiver, chosen: list[int]) -> int | None:
        """Retry or drop dead letters, as far as this process takes what they wait for; None where it takes none."""
        takers: dict[Any, list[int]] = {}
        for each in await receiver.database.parked_chosen(chosen):
            within = self._application.movement.taker_of(receiver.module, (each.consumer, each.source, each.key))
            if within is not None:  # else another process knows what it has parked
                takers.setdefault(within, []).append(each.sequence)
        if not takers:
            return None
        changed = 0
        for within, sequences in takers.items():
            if action == "retry":
                changed += await within(receiver.revive(sequences))
            else:
                changed += sum([await within(receiver.drop(sequence)) for sequence in sequences])
        return changed

    async def _extraction(self, request: Request) -> Response:
        refused = self._refused(request)
        if refused is not None:
            return refused
        module, action = request.path_params["module"], request.path_params.get("action")
        extractions = self._application.extractions
        if not extractions.knows(module) or action not in (None, "begin", "abort", "back", "finish"):
            return _answer({"title": "Not Found", "status": 404, "detail": f"no module {module} runs here"}, 404)
        asked = msgspec.json.decode(await request.body() or b"{}", type=Asked)
        try:
            if action == "begin":
                return _answer(await extractions.begin(module, asked.address, asked.password_file))
            if action == "abort":
                return _answer(await extractions.abort(module))
            if action == "back":
                return _answer(await extractions.back(module))
            if action == "finish":
                return _answer(await extractions.finish(module, remove=asked.remove))
            return _answer({"progress": extractions.progress(module)})
        except InsulaError as error:
            return _answer({"title": type(error).__name__, "status": 409, "detail": str(error)}, 409)


def _answer(value: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")
