"""Carries the messages of an outbox on: which adapters, and when to stop. What `insula relay` runs."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import signal
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any, TypeVar
from urllib.parse import urlsplit

from sqlalchemy import Connection

from insula.adapters.sql.transactions import SqlTransactions
from insula.kernel.clock import SystemClock
from insula.kernel.errors import ConfigurationError
from insula.messaging.destination import Destination
from insula.messaging.forwarder import Forwarder, Pace
from insula.messaging.outbox import Outbox
from insula.messaging.outbox_queue import OutboxQueue
from insula.runtime.configuration import Relay

Value = TypeVar("Value")
Load = Callable[[str], Any]
"""Finds what `package.module:name` is."""


def destination_of(address: str, source: str, load: Load) -> Destination:
    """The destination that an address names, by its scheme.

    Parameters: `source`, under which messages are sent; `load` finds a Celery application by its name.
    Raises ConfigurationError naming what can be written.
    """
    make = _DESTINATIONS.get(urlsplit(address).scheme)
    if make is None:
        what = f"relay.to: {address} is no destination" if address else "relay.to is not set"
        raise ConfigurationError(f"{what}; give --to, or write it in [relay] of insula.toml: {', or '.join(_WRITTEN)}")
    return make(address, source, load)


def _nats(address: str, source: str, _load: Load) -> Destination:
    _require("nats", "nats", address)
    from insula.adapters.nats.destination import NatsDestination

    return NatsDestination(address, source)


def _kafka(address: str, source: str, _load: Load) -> Destination:
    _require("confluent_kafka", "kafka", address)
    from insula.adapters.kafka.destination import KafkaDestination

    return KafkaDestination(address, source)


def _http(address: str, _source: str, _load: Load) -> Destination:
    from insula.adapters.http.destination import HttpDestination

    return HttpDestination(address)


def _celery(address: str, _source: str, load: Load) -> Destination:
    _require("celery", "celery", address)
    from insula.adapters.celery.destination import CeleryDestination

    target = address.partition(":")[2]
    return CeleryDestination(load(target), target)


def _require(package: str, extra: str, address: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise ConfigurationError(f"{address} needs {package}, which is not installed: pip install 'insula[{extra}]'")


# Another destination is one adapter that implements `Destination`, and one line here.
_DESTINATIONS: Mapping[str, Callable[[str, str, Load], Destination]] = {
    "nats": _nats,
    "kafka": _kafka,
    "http": _http,
    "https": _http,
    "celery": _celery,
}
_WRITTEN = ("nats://host:4222", "kafka://host:9092/topic", "https://host/path", "celery:package.module:app")


async def relay(outbox: Outbox, settings: Relay, load: Load, announce: Callable[[str], None]) -> None:
    """Empty an outbox until SIGTERM or SIGINT; a second signal stops at once, and may let messages be sent twice.

    Parameters: `announce` is called with a line for people. Raises ConfigurationError where waiting will not help.
    """
    destination = destination_of(settings.to, outbox.source, load)
    transactions, clock = _transactions(settings), SystemClock()
    pace = Pace(
        poll_seconds=settings.poll_seconds, lease_seconds=settings.lease_seconds,
        kept=timedelta(days=settings.kept_days),
    )  # fmt: skip
    holder = f"{socket.gethostname()}/{os.getpid()}"
    queue = OutboxQueue(outbox, clock)
    forwarder = Forwarder(queue, transactions, destination, clock, holder=holder, pace=pace, announce=announce)
    try:
        announce(f"{queue.name} in {transactions.address} goes to {destination.address}")
        running = asyncio.ensure_future(forwarder.run())
        _handle_signals(forwarder, running, announce)
        with suppress(asyncio.CancelledError):
            await running
        announce("stopped")
    finally:
        await destination.close()
        await transactions.close()


def _handle_signals(forwarder: Forwarder, running: asyncio.Future[None], announce: Callable[[str], None]) -> None:
    loop, stopping = asyncio.get_running_loop(), False

    def stop() -> None:
        nonlocal stopping
        if stopping:
            running.cancel()
            return
        stopping = True
        announce("stopping: what is on its way ends first")
        forwarder.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)


async def in_outbox(outbox: Outbox, settings: Relay, work: Callable[[OutboxQueue, Connection], Value]) -> Value:
    """Look into an outbox, or change something, in one transaction. Raises `Unavailable` and ConfigurationError."""
    transactions, queue = _transactions(settings), OutboxQueue(outbox, SystemClock())

    def looked(connection: Connection) -> Value:
        queue.check(connection)
        return work(queue, connection)

    try:
        return await transactions.run(looked)
    finally:
        await transactions.close()


def _transactions(settings: Relay) -> SqlTransactions:
    if not settings.database:
        raise ConfigurationError(
            "relay.database is not set: give --database sqlite:///shop.db, write it in [relay] of insula.toml, or set "
            "INSULA_RELAY_DATABASE, where no other user of the machine sees a password"
        )
    return SqlTransactions(settings.database)
