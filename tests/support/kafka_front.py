"""Stands before a mock broker and answers what that does not know, in the protocol of Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from struct import pack, unpack_from
from threading import Thread
from typing import Any, NamedTuple

_PRODUCE, _API_VERSIONS, _CREATE_TOPICS, _DESCRIBE_CONFIGS = 0, 18, 19, 32
_OURS = {_CREATE_TOPICS: 4, _DESCRIBE_CONFIGS: 1}
"""Request -> the version that is understood here."""
_ALREADY_EXISTS = 36
_OF_A_TOPIC = 2


class NewTopic(NamedTuple):
    """A topic that a client has asked for."""

    name: str
    partitions: int
    replicas: int
    config: dict[str, str]


class Topics:
    """Makes topics, and knows how they are configured. Parameters: `make`, gives a topic its partitions."""

    def __init__(self, make: Callable[[str, int], int]) -> None:
        self.made: list[NewTopic] = []
        self.configured: dict[str, Mapping[str, str]] = {}
        self.refusals: dict[str, int] = {}
        """Topic -> the error code of the protocol with which its making is refused once."""
        self.answers = {_CREATE_TOPICS: self._create, _DESCRIBE_CONFIGS: self._describe}
        self._make = make

    def _create(self, frame: bytes) -> bytes:
        """One topic without assignments."""
        name, at = _text(frame, _body(frame) + 4)
        partitions, replicas, _, count = unpack_from(">ihii", frame, at)
        at, config = at + 14, {}
        for _ in range(count):
            key, at = _text(frame, at)
            config[key], at = _text(frame, at)
        self.made.append(NewTopic(name, partitions, replicas, config))
        code = self.refusals.pop(name, 0) or (_ALREADY_EXISTS if self._make(name, partitions) else 0)
        if not code:
            self.configured[name] = config
        return pack(">ii", 0, 1) + _packed(name) + pack(">hh", code, -1)

    def _describe(self, frame: bytes) -> bytes:
        """All configuration of one topic."""
        name, _ = _text(frame, _body(frame) + 5)
        config = self.configured.get(name, {})
        told = b"".join(_packed(key) + _packed(value) + pack(">bbbi", 0, 1, 0, 0) for key, value in config.items())
        return pack(">iihhb", 0, 1, 0, -1, _OF_A_TOPIC) + _packed(name) + pack(">i", len(config)) + told


class Front:
    """Stands before a mock broker, on a loop and a thread of its own."""

    def __init__(self, behind: int, topics: Topics) -> None:
        self.cut_off_next_answer = False
        self._behind = behind
        self._topics = topics
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server: asyncio.Server | None = None
        self.port = 0
        self.start()

    def start(self) -> None:
        self._do(self._start())

    def stop(self) -> None:
        self._do(self._stop())

    def close(self) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()
        own = asyncio.current_task()
        while others := asyncio.all_tasks() - {own}:  # also those that have only just been accepted
            for each in others:
                each.cancel()
            await asyncio.wait(others)
            await asyncio.sleep(0)
        for _ in range(2):  # what was aborted is closed a moment later
            await asyncio.sleep(0)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            behind_reader, behind = await asyncio.open_connection("127.0.0.1", self._behind)
            asked: dict[int, int] = {}
            answers = asyncio.create_task(self._answers(behind_reader, writer, asked))
            try:
                await self._requests(reader, behind, writer, asked)
            finally:
                answers.cancel()
                behind.transport.abort()
                await asyncio.wait([answers])
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()

    async def _requests(
        self,
        reader: asyncio.StreamReader,
        behind: asyncio.StreamWriter,
        writer: asyncio.StreamWriter,
        asked: dict[int, int],
    ) -> None:
        while True:
            frame = await _frame(reader)
            key, _, number = unpack_from(">hhi", frame)
            own = self._topics.answers.get(key)
            if own is not None:
                _send(writer, pack(">i", number) + own(frame))
                continue
            asked[number] = key
            _send(behind, frame)

    async def _answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: dict[int, int]) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                frame = await _frame(reader)
                key = asked.pop(unpack_from(">i", frame)[0], None)
                if key == _PRODUCE and self.cut_off_next_answer:
                    self.cut_off_next_answer = False
                    break
                _send(writer, _with_ours(frame) if key == _API_VERSIONS else frame)
        writer.transport.abort()


def _body(frame: bytes) -> int:
    """Where a request begins, behind the name of its client."""
    size: int = unpack_from(">h", frame, 8)[0]
    return 10 + size


def _packed(text: str) -> bytes:
    return pack(">h", len(text)) + text.encode()


def _text(frame: bytes, at: int) -> tuple[str, int]:
    end = at + 2 + unpack_from(">h", frame, at)[0]
    return frame[at + 2 : end].decode(), end


async def _frame(reader: asyncio.StreamReader) -> bytes:
    (size,) = unpack_from(">i", await reader.readexactly(4))
    return await reader.readexactly(size)


def _send(writer: asyncio.StreamWriter, frame: bytes) -> None:
    writer.write(pack(">i", len(frame)) + frame)


def _with_ours(frame: bytes) -> bytes:
    """Which requests the broker knows, and those of `Topics`, in version 0 of the answer."""
    error, count = unpack_from(">hi", frame, 4)
    if error:
        return frame
    ours = b"".join(pack(">hhh", key, 0, version) for key, version in _OURS.items())
    return frame[:6] + pack(">i", count + len(_OURS)) + frame[10:] + ours
