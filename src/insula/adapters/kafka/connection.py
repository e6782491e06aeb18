"""One process's access to a Kafka cluster: how its clients are configured, asking it, its faults in one line."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from insula.adapters.kafka.addresses import Servers
from insula.adapters.kafka.faults import ALL_BROKERS_DOWN, TIMED_OUT, error_of, is_cut_off, refusal, wrong_settings

Key = TypeVar("Key")
Value = TypeVar("Value")

_SILENT = logging.getLogger("insula.kafka.librdkafka")
_SILENT.disabled = True  # what goes wrong is told as an error, and not also to stderr

_LOOK_SECONDS = 0.05
_THREADS = 32


class KafkaConnection:
    """Clients for the brokers of one cluster: made when they are first needed, thrown away when they were cut off.

    Parameters: `servers`, where the brokers are; `settings` of librdkafka beside ours; `timeout_seconds`, after which
    a broker that says nothing is `Unavailable`.
    """

    def __init__(self, servers: Servers, settings: Mapping[str, Any], timeout_seconds: float) -> None:
        self.timeout_seconds = timeout_seconds
        self._servers = servers
        self._settings = dict(settings)
        self._asker: _Asker | None = None
        self._threads: ThreadPoolExecutor | None = None

    @property
    def address(self) -> str:
        """The servers, without the secrets that stand in their addresses."""
        return self._servers.shown

    def client_settings(self, settings: Mapping[str, Any], on_error: Callable[[KafkaError], None]) -> dict[str, Any]:
        """What a client is configured with. Parameters: `settings` of its own; `on_error`, told of each trouble."""
        milliseconds = int(self.timeout_seconds * 1000)
        return {
            "client.id": "insula",
            "log_level": 2,
            "logger": _SILENT,
            "socket.timeout.ms": max(10, milliseconds),
            "socket.connection.setup.timeout.ms": max(1000, milliseconds),
            "reconnect.backoff.ms": 50,
            "reconnect.backoff.max.ms": 1000,
            "topic.metadata.propagation.max.ms": min(2000, milliseconds),
            "allow.auto.create.topics": False,
            **self._servers.settings,
            **self._settings,
            **settings,
            "error_cb": on_error,
        }

    async def ask(self, call: Callable[[AdminClient], Mapping[Key, Future[Value]]]) -> dict[Key, Value | KafkaError]:
        """Ask the cluster something; returns each answer, or the error that it is. Raises KafkaException for no answer.

        A client says only once that it has lost every broker, so one that has is not asked again.
        """
        if self._asker is None or self._asker.was_cut_off():
            self._discard(self._asker)
            self._asker = _Asker(self)
        asker = self._asker
        try:
            return await asker.ask(call)
        except BaseException:
            self._discard(asker)
            raise

    @contextmanager
    def told(self, doing: str) -> Iterator[None]:
        """Turn the library's errors into ours. Parameters: `doing`, what is being done, for the message."""
        try:
            yield
        except KafkaException as error:
            raise refusal(error_of(error), self.address, doing) from None

    async def within(self, work: Callable[[], Value], stop: Callable[[], None]) -> Value:
        """Do what blocks on a thread. Parameters: `stop`, called when the time is over or nobody waits any more."""
        running = asyncio.get_running_loop().run_in_executor(self._pool(), work)
        running.add_done_callback(_looked_at)
        try:
            done, _ = await asyncio.wait([running], timeout=self.timeout_seconds)
        finally:
            stop()
        return await running if not done else running.result()

    def let_go(self, clients: list[Any]) -> None:
        """Drop what the list holds on a thread, since the end of a client waits for its own threads."""
        self._pool().submit(clients.clear)

    def _pool(self) -> ThreadPoolExecutor:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_THREADS, "insula-kafka")
        return self._threads

    def _discard(self, asker: _Asker | None) -> None:
        if asker is not None and asker is self._asker:
            self._asker = None
            self.let_go([asker])

    async def close(self) -> None:
        """Let go of the cluster; whoever asks again connects again."""
        self._discard(self._asker)
        threads, self._threads = self._threads, None
        if threads is not None:
            threads.shutdown(wait=False)


class _News:
    """What a client has heard of its brokers.

    It does not lead back to the client: in a circle that would be let go of by whichever thread collects garbage, and
    the library ends the process where that is one of the client's own.
    """

    def __init__(self) -> None:
        self.is_cut_off = False
        self.trouble: KafkaError | None = None

    def heard(self, error: KafkaError) -> None:
        """The library calls it."""
        if is_cut_off(error):
            self.is_cut_off = True
        if error.code() != ALL_BROKERS_DOWN:  # which says less than what came before it
            self.trouble = error


class _Asker:
    """A client that asks, and what it has heard of its brokers."""

    def __init__(self, connection: KafkaConnection) -> None:
        self._news = _News()
        self._timeout_seconds = connection.timeout_seconds
        try:
            self._admin = AdminClient(connection.client_settings({}, self._news.heard))
        except KafkaException as error:
            raise wrong_settings(error) from None

    def was_cut_off(self) -> bool:
        """Whether something has happened since it was last asked."""
        self._admin.poll(0)
        return self._news.is_cut_off

    async def ask(self, call: Callable[[AdminClient], Mapping[Key, Future[Value]]]) -> dict[Key, Value | KafkaError]:
        loop, asked = asyncio.get_running_loop(), dict[Key, "asyncio.Future[Value]"]()
        until = loop.time() + self._timeout_seconds
        for key, future in call(self._admin).items():
            asked[key] = asyncio.wrap_future(future)
        waiting = set(asked.values())
        try:
            while waiting:
                _, waiting = await asyncio.wait(waiting, timeout=_LOOK_SECONDS)
                self._admin.poll(0)
                if waiting and (self._news.is_cut_off or loop.time() >= until):
                    none = KafkaError(TIMED_OUT, f"no answer in {self._timeout_seconds:g} s")
                    raise KafkaException(self._news.trouble or none)
            return {key: _answer(future) for key, future in asked.items()}
        finally:
            for each in waiting:
                each.cancel()


def _looked_at(future: asyncio.Future[Any]) -> None:
    """An error that nobody waits for any more is not to be told by the event loop."""
    if not future.cancelled():
        future.exception()


def _answer(future: asyncio.Future[Any]) -> Any:
    try:
        return future.result()
    except KafkaException as error:
        return error_of(error)


def value_of(answer: Value | KafkaError) -> Value:
    """The answer; raises the error that it is."""
    if isinstance(answer, KafkaError):
        raise KafkaException(answer)
    return answer


def values_of(answers: Mapping[Key, Value | KafkaError]) -> dict[Key, Value]:
    """All answers; raises the first error among them."""
    return {key: value_of(answer) for key, answer in answers.items()}
