"""Sends the messages of an outbox to a JetStream stream of the application's own. Implements `Destination`."""

from __future__ import annotations

from urllib.parse import urlsplit

import nats.errors
from nats.js.errors import NotFoundError

from insula.adapters.nats.connection import NatsConnection
from insula.kernel.errors import ConfigurationError
from insula.messages import Envelope, to_cloudevent
from insula.messaging.destination import Refused


class NatsDestination:
    """Publishes each message to the subject `prefix.type`, such as "shop.OrderPlaced", with its id as Nats-Msg-Id.

    Parameters: `url`, whose path is the prefix (default `source`); `concurrency`, how many keys are published at a time
    (default 256). A stream that takes `prefix.>` has to be there: how long it keeps messages is for others to say.
    """

    def __init__(self, url: str, source: str, *, concurrency: int = 256) -> None:
        parts = urlsplit(url)
        self._prefix = parts.path.strip("/") or source
        self._connection = NatsConnection([parts._replace(path="").geturl()], name=f"insula relay of {source}")
        self.address = f"{self._connection.address}/{self._prefix}"
        self.concurrency = concurrency

    async def open(self) -> None:
        """Connect. Raises `Unavailable`; ConfigurationError where no stream takes the messages."""
        context, subject = await self._connection.jetstream(), f"{self._prefix}.>"
        try:
            await self._connection.ask(context.find_stream_name_by_subject(subject), "looking for a stream")
        except Exception as error:
            if isinstance(error.__cause__, NotFoundError):
                raise ConfigurationError(
                    f"{self._connection.address} has no stream that takes {subject}; make one, such as: "
                    f"nats stream add {self._prefix} --subjects '{subject}'"
                ) from None
            raise

    async def send(self, message: Envelope) -> None:
        """Publish it, and wait until the stream has it. Raises `Unavailable`; `Refused` where it is too large."""
        context, subject = await self._connection.jetstream(), f"{self._prefix}.{message.type}"
        try:
            await self._connection.ask(
                context.publish(subject, to_cloudevent(message), headers={"Nats-Msg-Id": message.id}),
                f"publishing to {subject}",
            )
        except Exception as error:
            if isinstance(error.__cause__, nats.errors.MaxPayloadError):
                raise Refused(f"{message.type} {message.id} is larger than the max_payload of {self.address}") from None
            raise

    async def close(self) -> None:
        """Hang up."""
        await self._connection.close()
