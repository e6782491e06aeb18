"""Keeping Kafka from forgetting where a receiver stands: it drops what nobody has committed for some time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Protocol

from confluent_kafka import KafkaException

from insula.adapters.kafka.channels import Place, Topic
from insula.adapters.kafka.faults import error_of

_log = logging.getLogger("insula.kafka")

KEEP_SECONDS = 3600.0


class _Places(Protocol):
    async def places(self, topic: Topic, receiver: str) -> Mapping[int, Place]: ...
    async def remember(self, topic: Topic, receiver: str, offsets: Mapping[int, int]) -> None: ...


class PlaceKeeper:
    """Commits again and again what is committed already.

    The brokers drop offsets that were not committed for `offsets.retention.minutes`, a week by default: of a receiver
    that is away, or has nothing to read. Whoever publishes to a topic or reads it keeps the places of its receivers;
    only those that have not moved since the last time, so that it does not meet a receiver that moves.
    """

    def __init__(self, channels: _Places) -> None:
        self._channels = channels
        self._topics: dict[tuple[str, str], Topic] = {}
        self._seen: dict[tuple[str, str], Mapping[int, Place]] = {}
        self._running: asyncio.Task[None] | None = None

    def watch(self, topic: Topic, receivers: Iterable[str]) -> None:
        """Keep these places from now on."""
        for receiver in receivers:
            self._topics[topic.name, receiver] = topic
        if self._topics and (self._running is None or self._running.done()):
            self._running = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(KEEP_SECONDS)
            await self.keep()

    async def keep(self) -> None:
        """Do it once. Brokers that do not answer are asked again the next time."""
        for (name, receiver), topic in tuple(self._topics.items()):
            try:
                await self._keep(topic, receiver)
            except KafkaException as error:
                _log.warning("keeping how far %s has read %s: %s", receiver, name, error_of(error).str())

    async def _keep(self, topic: Topic, receiver: str) -> None:
        key = topic.name, receiver
        before, now = self._seen.get(key, {}), await self._channels.places(topic, receiver)
        self._seen[key] = now
        resting = {each: at.offset for each, at in now.items() if before.get(each) == at and at.topic_id == topic.id}
        await self._channels.remember(topic, receiver, resting)

    async def close(self) -> None:
        """Keep nothing any more."""
        running, self._running = self._running, None
        self._topics.clear()
        if running is not None:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.wait([running])
