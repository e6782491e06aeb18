"""Publishing to streams: many messages on their way, stored in their order or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import count

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg

from insula.adapters.nats.channels import ChannelOptions
from insula.adapters.nats.connection import NatsConnection
from insula.kernel.errors import Failure, Unavailable
from insula.messages import Envelope, to_cloudevent
from insula.messaging.transport import partition_of

_ANSWER_SECONDS = 5.0
_ATTEMPTS = 3
_WRONG_LAST_SEQUENCE = 10071


class _Refusal(msgspec.Struct, frozen=True):
    description: str = ""
    err_code: int = 0


class _Answer(msgspec.Struct, frozen=True):
    """What JetStream says to a published message."""

    seq: int = 0
    duplicate: bool = False
    error: _Refusal | None = None


_decode = msgspec.json.Decoder(_Answer).decode
_GONE = _Answer(error=_Refusal("the stream is gone"))


class _Batch:
    """Messages on their way together, and what was said to each."""

    def __init__(self, size: int) -> None:
        self.answers: list[_Answer | None] = [None] * size
        self.complete: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._left = size

    def answer(self, index: int, answer: _Answer) -> None:
        if self.answers[index] is None:
            self.answers[index] = answer
            self._left -= 1
            if self._left == 0 and not self.complete.done():
                self.complete.set_result(None)


class Outlet:
    """Publishes to the streams of one connection.

    Each message tells the server which sequence it expects to follow. So where one is not stored, none after it is, and
    whoever publishes to a stream without having been told of another publisher is refused.
    """

    def __init__(self, connection: NatsConnection, options: ChannelOptions) -> None:
        self._connection = connection
        self._options = options
        self._expected: dict[str, int] = {}
        self._client: Client | None = None
        self._inbox = ""
        self._numbers = count()
        self._asked: dict[str, tuple[_Batch, int]] = {}
        connection.on_lost.append(self._lost)

    def reached(self, source: str, sequence: int) -> None:
        """What the stream of a source has stored last, as somebody has just asked."""
        self._expected[source] = sequence

    async def publish(self, source: str, envelopes: Sequence[Envelope]) -> int:
        """Store messages in their order; returns the last sequence of the stream. Raises `Unavailable`."""
        left, attempts, together = list(envelopes), _ATTEMPTS, len(envelopes)
        while attempts:
            if source not in self._expected:
                self._expected[source] = await self._last_sequence(source)
            answers = await self._send(source, left[:together], self._expected[source])
            done = next((index for index, each in enumerate(answers) if each.error is not None), len(answers))
            attempts = _ATTEMPTS if done else attempts - 1
            stored = [each.seq for each in answers[:done] if not each.duplicate]
            if stored:
                self._expected[source] = stored[-1]
            left = left[done:]
            if not left:
                return self._expected[source]
            if done == len(answers):
                together *= 2
                continue
            # What the server had already is not counted again, so the next one follows another sequence. There may be
            # many of that kind, each alone at the head of those that are sent together.
            del self._expected[source]
            together = 1
            refusal = answers[done].error
            if refusal is not None and refusal.err_code != _WRONG_LAST_SEQUENCE:
                raise Unavailable(f"{self._connection.address}: {self._options.stream(source)}: {refusal.description}")
        raise Unavailable(f"{self._connection.address}: another process publishes to {self._options.stream(source)}")

    async def _last_sequence(self, source: str) -> int:
        context, stream = await self._connection.jetstream(), self._options.stream(source)
        info = await self._connection.ask(context.stream_info(stream), f"asking for the stream {stream}")
        return info.state.last_seq

    async def _send(self, source: str, envelopes: Sequence[Envelope], expected: int) -> Sequence[_Answer]:
        client = await self._listening()
        batch, tokens = _Batch(len(envelopes)), []
        partitions = self._options.partitions
        try:
            with self._connection.told("publishing"):
                for index, envelope in enumerate(envelopes):
                    token = f"{self._inbox}.{next(self._numbers)}"
                    tokens.append(token)
                    self._asked[token] = batch, index
                    headers = {"Nats-Msg-Id": envelope.id, "Nats-Expected-Last-Sequence": str(expected + index)}
                    subject = self._options.subject(source, partition_of(envelope, partitions))
                    data = to_cloudevent(envelope)
                    if len(data) > client.max_payload:
                        raise Failure(
                            f"{source}: {envelope.type} {envelope.id} has {len(data)} bytes, and the server takes "
                            f"{client.max_payload}: raise its max_payload; until then everything after it waits"
                        )
                    await client.publish(subject, data, reply=token, headers=headers)
                async with asyncio.timeout(_ANSWER_SECONDS):
                    await batch.complete
        except BaseException:
            self._expected.pop(source, None)  # nobody knows what was stored
            raise
        finally:
            for token in tokens:
                self._asked.pop(token, None)
        return [answer for answer in batch.answers if answer is not None]

    async def _listening(self) -> Client:
        """The client, once it hears the answers."""
        client = await self._connection.client()
        if client is not self._client:
            self._inbox = client.new_inbox()
            with self._connection.told("subscribing to answers"):
                await client.subscribe(f"{self._inbox}.*", cb=self._answered)
            self._client = client
        return client

    async def _answered(self, message: Msg) -> None:
        asked = self._asked.pop(message.subject, None)
        if asked is not None:
            batch, index = asked
            batch.answer(index, _decode(message.data) if message.data else _GONE)

    def _lost(self) -> None:
        """The connection is gone, and with it every answer."""
        asked, self._asked = self._asked, {}
        self._expected.clear()
        for batch, _ in asked.values():
            if not batch.complete.done():
                batch.complete.set_exception(Unavailable(f"{self._connection.address}: the connection was lost"))
