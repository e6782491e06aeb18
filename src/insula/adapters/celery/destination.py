"""Sends the messages of an outbox to the tasks of a Celery application. Implements `Destination`."""

from __future__ import annotations

import asyncio
from typing import Any

from kombu.exceptions import OperationalError

from insula.kernel.errors import ConfigurationError, Unavailable
from insula.messages import Envelope, to_cloudevent
from insula.messaging.destination import Refused

_CONNECT_SECONDS = 5.0
_CONFIRMED = ("amqp", "amqps", "pyamqp")


class CeleryDestination:
    """Calls for each message the task that is named as its type, with the CloudEvent as JSON text for its argument.

    Parameters: `application`, the Celery application, in which the tasks have to be known: a worker would throw away
    what it has no task for; `name` of it, for people. The id of the task is that of the message. On RabbitMQ the broker
    confirms each message; one at a time is sent.
    """

    concurrency = 1

    def __init__(self, application: Any, name: str) -> None:
        if not callable(getattr(application, "send_task", None)):
            raise ConfigurationError(f"{name} is no Celery application, but {type(application).__name__}")
        self._application = application
        self._name = name
        self.address = f"celery:{name}"

    async def open(self) -> None:
        """Load the tasks and connect. Raises `Unavailable`."""
        await self._in_thread(self._connect)

    def _connect(self) -> None:
        self._application.loader.import_default_modules()
        self._application.finalize()
        with self._application.connection_for_write() as connection:
            if connection.transport_cls in _CONFIRMED:
                options = {**self._application.conf.broker_transport_options, "confirm_publish": True}
                self._application.conf.broker_transport_options = options
            connection.ensure_connection(max_retries=1, interval_start=0.1, timeout=_CONNECT_SECONDS)

    async def send(self, message: Envelope) -> None:
        """Put it into the queue of its task. Raises `Unavailable`; `Refused` where there is no such task."""
        if message.type not in self._application.tasks:
            raise Refused(f'{self._name} has no task for {message.type}; name one so: @app.task(name="{message.type}")')
        await self._in_thread(self._send, message)

    def _send(self, message: Envelope) -> None:
        text = to_cloudevent(message).decode()
        self._application.send_task(message.type, args=[text], task_id=message.id, ignore_result=True, retry=False)

    async def _in_thread(self, work: Any, *arguments: Any) -> None:
        try:
            await asyncio.to_thread(work, *arguments)
        except (OperationalError, OSError) as error:
            raise Unavailable(f"{self.address}: the broker cannot be reached: {error}") from error

    async def close(self) -> None:
        """Close the connections to the broker."""
        await asyncio.to_thread(self._application.close)
