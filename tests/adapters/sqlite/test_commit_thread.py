"""Which thread a commit runs on: its own, or the loop's where a lone commit on a fast disk would only wait for it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from insula.adapters.sqlite.commit_thread import CommitThread
from insula.store.database import Scope
from insula.testing import VirtualClock

FAST, SLOW = 0.0001, 0.004


class Disk:
    """Commits that take as long as told, on a clock of its own."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.committer = CommitThread("commit", self.clock)

    async def commit(self, seconds: float, *, lone: bool = True, error: Exception | None = None) -> threading.Thread:
        """Commit once; the thread it ran on."""
        ran_on: list[threading.Thread] = []
        done = asyncio.get_running_loop().create_future()

        def commit() -> None:
            ran_on.append(threading.current_thread())
            self.clock.advance(seconds)
            if error is not None:
                raise error

        def finished(raised: BaseException | None) -> None:
            assert threading.current_thread() is threading.main_thread()
            done.set_result(None) if raised is None else done.set_exception(raised)

        self.committer.start(commit, finished, [Scope("unit")] * (1 if lone else 2))
        await done
        return ran_on[0]

    async def warm_up(self) -> None:
        """So many fast commits that the disk is known to be fast."""
        for _ in range(100):
            await self.commit(FAST)


@asynccontextmanager
async def disk() -> AsyncIterator[Disk]:
    used = Disk()
    try:
        yield used
    finally:
        used.committer.close()


LOOP = threading.main_thread


@pytest.mark.parametrize(
    ("before", "lone", "on_loop"),
    [([], True, False), ([FAST] * 100, True, True), ([FAST] * 100, False, False), ([FAST] * 100 + [SLOW], True, False)],
    ids=["the first", "lone on a fast disk", "shared on a fast disk", "lone after a slow one"],
)
async def test_only_a_lone_commit_on_a_disk_known_to_be_fast_runs_on_the_loop(
    before: list[float], lone: bool, on_loop: bool
) -> None:
    async with disk() as used:
        for seconds in before:
            await used.commit(seconds)
        assert ((await used.commit(FAST, lone=lone)) is LOOP()) is on_loop


async def test_a_disk_that_was_slow_once_is_trusted_again() -> None:
    async with disk() as used:
        await used.warm_up()
        await used.commit(SLOW)
        await used.warm_up()
        assert await used.commit(FAST) is LOOP()


@pytest.mark.parametrize("warm", [False, True], ids=["on the thread", "on the loop"])
async def test_the_error_of_a_commit_reaches_whoever_waits(warm: bool) -> None:
    async with disk() as used:
        if warm:
            await used.warm_up()
        with pytest.raises(OSError, match="no disk"):
            await used.commit(FAST, error=OSError("no disk"))


async def test_an_interrupt_that_strikes_a_commit_on_the_loop_is_reported_and_goes_on() -> None:
    told: list[BaseException | None] = []

    def interrupted() -> None:
        raise KeyboardInterrupt

    async with disk() as used:
        await used.warm_up()
        with pytest.raises(KeyboardInterrupt):
            used.committer.start(interrupted, told.append, [Scope("unit")])
        assert [type(error) for error in told] == [KeyboardInterrupt]
