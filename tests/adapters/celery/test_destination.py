"""Messages of an outbox become calls of Celery tasks, and nothing is put into a queue that nobody knows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest
from celery import Celery
from kombu.message import Message

from insula.adapters.celery.destination import CeleryDestination
from insula.kernel.errors import ConfigurationError, Unavailable
from insula.messages import Envelope, from_cloudevent
from insula.messaging.destination import Refused
from support.neighbourhood import free_port

MESSAGE = Envelope(
    id="1", source="shop", type="CartFilled", kind="event", version=1, subject="ann", data=b"{}",
    time=datetime(2030, 1, 1, tzinfo=UTC), correlation_id="1", causation_id=None, traceparent=None, caller="anonymous",
)  # fmt: skip
_numbers = count(1)


def application(broker: str = "memory://") -> Celery:
    """A Celery application with one task, and a queue of its own."""
    made = Celery("shop", broker=broker, set_as_current=False)
    made.conf.task_default_queue = f"queue{next(_numbers)}"

    @made.task(name="CartFilled", shared=False)
    def on_cart_filled(event: str) -> None:
        """Never run here."""

    return made


@pytest.fixture
def celery() -> Iterator[Celery]:
    made = application()
    yield made
    made.close()


def queued(celery: Celery) -> list[Message]:
    """What waits in the queue."""
    with celery.connection_for_read() as connection:
        queue = connection.SimpleQueue(celery.conf.task_default_queue)
        found = [queue.get(block=False) for _ in range(queue.qsize())]
        queue.close()
        return found


async def test_a_message_becomes_a_call_of_the_task_of_its_type(celery: Celery) -> None:
    destination = CeleryDestination(celery, "shop.tasks:app")
    await destination.open()
    await destination.send(MESSAGE)
    (call,) = queued(celery)
    await destination.close()
    arguments: list[Any] = call.payload[0]
    assert (call.headers["task"], call.headers["id"]) == ("CartFilled", "1")
    assert from_cloudevent(arguments[0].encode()) == MESSAGE


async def test_a_message_without_a_task_is_refused_as_a_worker_would_throw_it_away(celery: Celery) -> None:
    from msgspec.structs import replace

    destination = CeleryDestination(celery, "shop.tasks:app")
    with pytest.raises(
        Refused, match=r'shop.tasks:app has no task for OrderLost; name one so: @app.task\(name="OrderL'
    ):
        await destination.send(replace(MESSAGE, type="OrderLost"))
    assert queued(celery) == []


async def test_a_broker_that_is_away_is_unavailable() -> None:
    celery = application(f"amqp://127.0.0.1:{free_port()}")
    destination = CeleryDestination(celery, "shop.tasks:app")
    with pytest.raises(Unavailable, match=r"celery:shop\.tasks:app: the broker cannot be reached"):
        await destination.open()
    with pytest.raises(Unavailable, match="the broker cannot be reached"):
        await destination.send(MESSAGE)
    assert celery.conf.broker_transport_options == {"confirm_publish": True}
    await destination.close()


def test_what_is_no_celery_application_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"shop\.tasks:app is no Celery application, but str"):
        CeleryDestination("app", "shop.tasks:app")
