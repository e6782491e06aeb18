"""One process's connection to NATS: made when it is first needed, made again when it breaks, its faults in one line."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.js import JetStreamContext

from insula.kernel.errors import ConfigurationError, Unavailable
from insula.resilience import CircuitBreaker, ResiliencePipeline

_log = logging.getLogger("insula.nats")

OLDEST_VERSION = (2, 14)
"""Older servers cannot deliver again, in order, what a reader before was given (CONSUMER.RESET)."""

_CONNECT_SECONDS = 3.0
_REQUEST_SECONDS = 5.0
_RECONNECT_PAUSE_SECONDS = 0.25
_FAILURES_BEFORE_OPEN = 2
_OPEN_SECONDS = 0.5
"""So long nobody tries a server that could not be reached: all who wait for a connection would try in turn."""

_PING_SECONDS = 20
_NOT_ENABLED = 10039

Value = TypeVar("Value")


class NatsConnection:
    """A client that connects on first use, and anew when the connection was lost.

    The client that lost it is given up with all that it had not sent: what it would send to the server that comes back,
    such as a request for messages that nobody waits for any more, has been given up by whoever asked for it.

    Parameters: `servers`, addresses such as "nats://10.0.0.1:4222", with user and password in them or not; `token` and
    `credentials`, a `.creds` file, where the servers ask for one; `tls`, for servers that speak it; `name`, which the
    server shows.
    """

    def __init__(
        self,
        servers: Sequence[str],
        *,
        token: str | None = None,
        credentials: Path | None = None,
        tls: ssl.SSLContext | None = None,
        name: str = "insula",
    ) -> None:
        self._servers = list(servers)
        self._options: dict[str, Any] = {"name": name}
        given = {"token": token, "user_credentials": None if credentials is None else str(credentials), "tls": tls}
        self._options.update({option: value for option, value in given.items() if value is not None})
        self._client: Client | None = None
        self._connecting = asyncio.Lock()
        self._trouble: list[BaseException] = []
        self._asking: set[asyncio.Future[Any]] = set()
        self._leaving: set[asyncio.Task[None]] = set()
        self._losing: Callable[[], Coroutine[Any, Any, None]] = _nothing
        self._was_lost = False
        name = f"connections to {self.address}"
        breaker = CircuitBreaker(_FAILURES_BEFORE_OPEN, _OPEN_SECONDS, on=Unavailable, name=name)
        self._connect = ResiliencePipeline(breaker)(self._connected)
        self.on_lost: list[Callable[[], None]] = []
        """Called when the connection is gone: what was under way gets no answer."""

    @property
    def address(self) -> str:
        """The servers, without the secrets that stand in their addresses."""
        return ", ".join(_without_secrets(server) for server in self._servers)

    async def client(self) -> Client:
        """The connected client. Raises `Unavailable`; ConfigurationError where no waiting will help."""
        client = self._client
        if client is not None and client.is_connected:
            return client
        async with self._connecting:
            if self._client is None or not self._client.is_connected:
                await self._losing()  # the client may not have told it yet
                self._client = await self._connect()
                if self._was_lost:
                    _log.info("%s: connected again", self.address)
            return self._client

    async def jetstream(self) -> JetStreamContext:
        """The interface to streams and consumers."""
        return (await self.client()).jetstream(timeout=_REQUEST_SECONDS)

    async def _connected(self) -> Client:
        """A new client; one round through the servers is enough to know that none can be used now."""
        self._trouble.clear()
        client, failed = Client(), asyncio.Event()
        self._losing = gone = self._gone(client)

        async def note(error: Exception) -> None:
            self._note(error)
            if len(self._trouble) >= len(self._servers):
                failed.set()

        connecting = asyncio.ensure_future(
            client.connect(
                self._servers, error_cb=note, disconnected_cb=gone, closed_cb=gone, max_reconnect_attempts=-1,
                reconnect_time_wait=_RECONNECT_PAUSE_SECONDS,  # type: ignore[arg-type]
                ping_interval=_PING_SECONDS, **self._options,
            )
        )  # fmt: skip
        giving_up = asyncio.ensure_future(failed.wait())
        either: list[asyncio.Future[Any]] = [connecting, giving_up]
        try:
            await asyncio.wait(either, timeout=_CONNECT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if not (connecting.done() and connecting.exception() is None):
                raise self._refusal()
            await self._check(client)
            return client
        except BaseException:
            while not connecting.done():  # the client may swallow a cancellation and try the next server
                connecting.cancel()
                await asyncio.wait([connecting], timeout=_RECONNECT_PAUSE_SECONDS)
            with suppress(Exception):
                await client.close()
            raise
        finally:
            giving_up.cancel()

    def _note(self, error: BaseException) -> None:
        self._trouble = [*self._trouble[-7:], error]
        if isinstance(error, nats.errors.SlowConsumerError):
            _log.warning("%s: a subscription is too slow, messages will come again", self.address)

    def _because(self) -> str:
        return f" ({self._trouble[-1]})" if self._trouble else ""

    def _refusal(self) -> Exception:
        said = " ".join(str(error).lower() for error in self._trouble)
        if "authorization" in said or "authentication" in said:
            return ConfigurationError(f"{self.address} refuses the credentials: check user and password, token or file")
        return Unavailable(f"{self.address} cannot be reached{self._because()}: is it running, is the address right?")

    async def _check(self, client: Client) -> None:
        version = client.connected_server_version
        if (version.major, version.minor) < OLDEST_VERSION:
            oldest = ".".join(map(str, OLDEST_VERSION))
            found = f"{version.major}.{version.minor}.{version.patch}"
            raise ConfigurationError(f"{self.address} runs nats-server {found}; Insula needs {oldest} or newer")
        await self.ask(self._check_jetstream(client), "asking for JetStream")

    async def _check_jetstream(self, client: Client) -> None:
        try:
            await client.jetstream(timeout=_REQUEST_SECONDS).account_info()
        except nats.js.errors.APIError as error:
            if error.err_code in (None, _NOT_ENABLED):
                raise ConfigurationError(
                    f"{self.address} has no JetStream (for this account): start it with --jetstream"
                ) from None
            raise

    async def ask(self, work: Coroutine[Any, Any, Value], doing: str) -> Value:
        """Do something that waits for the server's answers, and no longer than the connection lasts."""
        task, before = asyncio.ensure_future(work), _cancellations()
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)
        with self.told(doing):
            try:
                return await task
            except asyncio.CancelledError:
                if _cancellations() > before:
                    raise
                raise Unavailable(f"{self.address}: {doing}: the connection was lost") from None

    @contextmanager
    def told(self, doing: str) -> Iterator[None]:
        """Turn the client's errors into ours. Parameters: `doing`, what is being done, for the message.

        A cancellation that the client has swallowed, as it does here and there, is raised at the end.
        """
        before = _cancellations()
        try:
            yield
            if _cancellations() > before:
                raise asyncio.CancelledError
        except (TimeoutError, nats.errors.Error, nats.js.errors.Error, OSError) as error:
            raise Unavailable(f"{self.address}: {doing}: {str(error) or type(error).__name__}") from error

    def _gone(self, client: Client) -> Callable[[], Coroutine[Any, Any, None]]:
        """What is done once when this client has lost its connection."""
        told = False

        async def gone() -> None:
            nonlocal told
            if told:
                return
            told = True
            if self._client is client:  # else it is hung up by us, or was never there
                self._client, self._was_lost = None, True
                _log.warning("%s: the connection was lost; connecting again", self.address)
                leaving = asyncio.get_running_loop().create_task(self._give_up(client))
                self._leaving.add(leaving)
                leaving.add_done_callback(self._leaving.discard)
            for task in tuple(self._asking):  # the client itself would let them wait for their time limit
                task.cancel()
            for listener in tuple(self.on_lost):
                listener()

        return gone

    @staticmethod
    async def _give_up(client: Client) -> None:
        """Before it connects again, which it would do by itself."""
        with suppress(Exception):
            await client.close()

    async def close(self) -> None:
        """Send what waits to be sent, and hang up."""
        client, self._client = self._client, None
        if client is None or client.is_closed:
            return
        with suppress(Exception):
            if client.is_connected:
                await client.flush(timeout=1)
        await self._give_up(client)  # one that breaks in this moment as well


async def _nothing() -> None:
    """There was no connection yet that could have been lost."""


def _cancellations() -> int:
    """How often somebody has asked this task to end."""
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()


def _without_secrets(server: str) -> str:
    parts = urlsplit(server)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}" if parts.scheme else server
