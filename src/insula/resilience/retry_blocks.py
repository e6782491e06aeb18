"""`for attempt in retry: with attempt: ...`: the attempts at a block of code."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import NoReturn

from insula.kernel.clock import Clock
from insula.resilience.attempts import Attempts
from insula.resilience.holding import check_may_hold


class Block:
    """One attempt at a block of code: `with attempt:` swallows an error after which another attempt follows."""

    __slots__ = ("_attempts", "delay")

    def __init__(self, attempts: Attempts) -> None:
        self._attempts = attempts
        self.delay: float | None = None

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if isinstance(error, Exception):
            self.delay = self._attempts.delay_after(error)
        elif error is not None:
            self._attempts.interrupted(error)
        return self.delay is not None

    async def __aenter__(self) -> NoReturn:
        raise TypeError("write `with attempt:`, also within `async for attempt in retry:`; there the waiting is done")

    async def __aexit__(self, *_: object) -> None:
        pass


def blocks(policy: str, clock: Clock, attempts: Attempts) -> Iterator[Block]:
    """The attempts at a block of plain code; the waits between hold the thread."""
    while True:
        block = Block(attempts)
        yield block
        if block.delay is None:
            return
        check_may_hold(policy, block.delay, attempts.last_error)
        clock.block(block.delay)
        attempts.begin()


class AsyncBlocks:
    """The attempts at a block of async code; no generator, since one that is left early needs a task to close it."""

    __slots__ = ("_attempts", "_block", "_clock")

    def __init__(self, clock: Clock, attempts: Attempts) -> None:
        self._clock = clock
        self._attempts = attempts
        self._block: Block | None = None

    def __aiter__(self) -> AsyncBlocks:
        return self

    async def __anext__(self) -> Block:
        if self._block is not None:
            if self._block.delay is None:
                raise StopAsyncIteration
            try:
                await self._clock.sleep(self._block.delay)
            except BaseException as error:
                self._attempts.interrupted(error)
                raise
            self._attempts.begin()
        self._block = Block(self._attempts)
        return self._block
