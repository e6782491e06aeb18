"""Reading a stream through a durable consumer: pulled ahead of need, kept while it is worked on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription as Inbox

from insula.adapters.nats.connection import NatsConnection
from insula.kernel.errors import Unavailable
from insula.messages import MessageInvalid, from_cloudevent
from insula.messaging.transport import Delivery

_log = logging.getLogger("insula.nats")

_PULL_SECONDS = 5.0
"""What one asked for who has died or hangs goes on being given to him for so long."""

_HEARTBEAT_SECONDS = 2.0
_SILENCE_SECONDS = 16.0
_NANOSECONDS = 1_000_000_000
_STILL_WORKING, _NOT_NOW, _NEVER_AGAIN = b"+WPI", b"-NAK", b"+TERM"
_PULL_IS_OVER = ("404", "408")
_HEARTBEAT = "100"
_LAST_GIVEN = "Nats-Last-Consumer"
_GIVEN_ELSEWHERE = "another reader was given some of what comes here; reading again"
_TOKENS_IN_RECEIPT, _PLACE_IN_RECEIPT, _PLACE_IN_RECEIPT_WITH_DOMAIN = 9, 6, 8


class NatsSubscription:
    """One receiver's reading of one share of a stream. Implements `Subscription`.

    The server counts what it has given since the reset with which a subscription begins. What is missing in that count
    was given to somebody else, who asked before us and has died or hangs: the subscription ends, and the next one is
    given all of it at once, in its order, instead of after `acknowledge_seconds`.

    Parameters: `pull_subject`, where to ask for messages; `window`, how many at a time; `acknowledge_seconds`, how long
    the server waits for a word about each: it gets one in time as long as this process lives; `left`, tells how many
    messages are not acknowledged or not given yet.
    """

    def __init__(
        self,
        connection: NatsConnection,
        client: Client,
        pull_subject: str,
        arrived: Callable[[], None],
        window: int,
        acknowledge_seconds: float,
        left: Callable[[], Awaitable[int]],
    ) -> None:
        self._left = left
        self._connection = connection
        self._client = client
        self._pull_subject = pull_subject
        self._arrived = arrived
        self._window = window
        self._word_seconds = acknowledge_seconds / 3
        self._ready: list[Delivery] = []
        self._held: set[str] = set()
        """Where to acknowledge what was delivered and is not acknowledged."""
        self._asked_for = 0
        self._given = 0
        self._heard_at = 0.0
        self._ended = ""
        self._inbox: Inbox | None = None
        self._reply = client.new_inbox()
        self._watching: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Begin to read."""
        loop = asyncio.get_running_loop()
        self._connection.on_lost.append(self._lost)
        self._heard_at = loop.time()
        # No limit of its own: the server sends no more than the window.
        self._inbox = await self._client.subscribe(self._reply, cb=self._heard, pending_bytes_limit=0)
        self._watching = loop.create_task(self._watch())
        await self._pull()

    async def _pull(self) -> None:
        """Ask for as much as fits the window, before what was asked for last has all come."""
        self._asked_for += self._window
        request = {
            "batch": self._window,
            "expires": int(_PULL_SECONDS * _NANOSECONDS),
            "idle_heartbeat": int(_HEARTBEAT_SECONDS * _NANOSECONDS),
        }
        await self._client.publish(self._pull_subject, msgspec.json.encode(request), reply=self._reply)

    async def _heard(self, message: Msg) -> None:
        self._heard_at = asyncio.get_running_loop().time()
        headers = message.headers
        if headers is not None and "Status" in headers:
            await self._told(headers)
            return
        if self._ended:  # it is for whoever reads now
            await self._client.publish(message.reply, _NOT_NOW)
            return
        self._given += 1
        if _place(message.reply) != self._given:
            self._end(_GIVEN_ELSEWHERE)
            return
        self._asked_for -= 1
        if self._asked_for == self._window // 2:
            await self._pull()
        try:
            envelope = from_cloudevent(message.data)
            partition = int(message.subject.rpartition(".")[2])
        except (MessageInvalid, ValueError) as error:
            _log.error("%s: %s holds what is no message of Insula: %s", self._reply, message.subject, error)
            await self._client.publish(message.reply, _NEVER_AGAIN)
            return
        self._held.add(message.reply)
        self._ready.append(Delivery(envelope, partition, message.reply))
        if len(self._ready) == 1:
            self._arrived()

    async def _told(self, headers: dict[str, str]) -> None:
        status = headers["Status"]
        if self._ended:
            return
        if status == _HEARTBEAT:
            if int(headers.get(_LAST_GIVEN, self._given)) > self._given:
                self._end(_GIVEN_ELSEWHERE)
            return
        if status in _PULL_IS_OVER:
            self._asked_for = max(0, self._asked_for - int(headers.get("Nats-Pending-Messages", self._window)))
            if self._asked_for <= self._window // 2:
                await self._pull()
            return
        self._end(headers.get("Description", f"status {status}"))

    async def _watch(self) -> None:
        """Tell the server again and again that what is held is still worked on; notice when it is silent itself."""
        loop = asyncio.get_running_loop()
        word_at = loop.time() + self._word_seconds
        pause = min(self._word_seconds, _HEARTBEAT_SECONDS)
        while not self._ended:
            await asyncio.sleep(pause)
            now = loop.time()
            if now - self._heard_at > _SILENCE_SECONDS:
                self._end(f"nothing was heard for {_SILENCE_SECONDS:g} s")
            elif now >= word_at:
                word_at = now + self._word_seconds
                with suppress(Exception):  # a connection that is lost is noticed elsewhere
                    for receipt in tuple(self._held):
                        await self._client.publish(receipt, _STILL_WORKING)

    def take(self) -> Sequence[Delivery]:
        """What has arrived since. Raises `Unavailable` once nothing can arrive any more."""
        if self._ended:
            raise Unavailable(f"{self._connection.address}: {self._ended}")
        taken, self._ready = self._ready, []
        return taken

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Tell the server that these need not come again."""
        if self._ended:
            raise Unavailable(f"{self._connection.address}: {self._ended}")
        with self._connection.told("acknowledging"):
            for delivery in deliveries:
                if delivery.receipt in self._held:  # else it is of a subscription before, and has come again
                    self._held.discard(delivery.receipt)
                    await self._client.publish(delivery.receipt)

    async def is_empty(self) -> bool:
        """Whether the server has nothing for us any more, and waits for no word of ours."""
        return not self._ended and await self._left() == 0

    def _lost(self) -> None:
        self._end("the connection was lost")

    def _end(self, reason: str) -> None:
        self._ended = self._ended or reason
        self._arrived()

    async def close(self) -> None:
        """Read no more. What is held comes again to the next subscription, which begins with a reset."""
        self._ended = self._ended or "closed"
        if self._lost in self._connection.on_lost:
            self._connection.on_lost.remove(self._lost)
        if self._watching is not None:
            self._watching.cancel()
        with suppress(Exception):
            if self._inbox is not None:  # also when disconnected, or the client subscribes again once it is connected
                await self._inbox.unsubscribe()
            if self._client.is_connected:
                await self._client.flush(timeout=1)


def _place(receipt: str) -> int:
    """The number of this delivery among all that the consumer has made since its reset.

    Source: ADR-15 of NATS, `$JS.ACK.[domain.account.]stream.consumer.delivered.place in stream.place here.time.left`.
    """
    tokens = receipt.split(".")
    return int(tokens[_PLACE_IN_RECEIPT if len(tokens) == _TOKENS_IN_RECEIPT else _PLACE_IN_RECEIPT_WITH_DOMAIN])
