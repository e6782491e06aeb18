"""Processes that use a mock cluster."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from insula.adapters.kafka.transport import KafkaTransport
from support.kafka import MockKafka


@asynccontextmanager
async def connected(cluster: MockKafka, prefix: str, **options: Any) -> AsyncIterator[KafkaTransport]:
    """The access of one process; twenty seconds for all of it."""
    given: dict[str, Any] = {"partitions": 1, "timeout_seconds": 3, "settings": {"fetch.wait.max.ms": 10}, **options}
    transport = KafkaTransport(cluster.url, prefix=prefix, **given)
    async with asyncio.timeout(20):
        try:
            yield transport
        finally:
            await transport.close()
