"""A bulkhead under random sequences of calls, ends and cancellations, and under threads that press hard."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from contextvars import copy_context

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insula.kernel import SeededRandomness
from insula.resilience import AimdLimit, Bulkhead, BulkheadFull
from insula.testing import VirtualClock, virtual_time

STEPS = st.lists(
    st.one_of(
        st.just("begin"),
        st.tuples(st.sampled_from(["end", "crash", "cancel"]), st.integers(0, 20)),
        st.sampled_from(["turn", "turns"]),
    ),
    max_size=60,
)


class Crowd:
    """Calls that end when they are told; knows how many run at once, and how each of them ended."""

    def __init__(self, bulkhead: Bulkhead) -> None:
        self.bulkhead = bulkhead
        self.gates: list[asyncio.Future[None]] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.running = self.most_running = 0
        self.began: set[int] = set()
        self.cancelled: set[int] = set()

    async def call(self, number: int) -> None:
        self.began.add(number)
        self.running += 1
        self.most_running = max(self.running, self.most_running)
        try:
            await self.gates[number]
        finally:
            self.running -= 1

    def begin(self) -> None:
        number = len(self.tasks)
        self.gates.append(asyncio.get_running_loop().create_future())
        self.tasks.append(asyncio.create_task(self.bulkhead.call(self.call, number)))

    def strike(self, how: str, number: int) -> None:
        gate = self.gates[number]
        if how == "cancel":
            self.cancelled.add(number)
            self.tasks[number].cancel()
        elif not gate.done():
            gate.set_result(None) if how == "end" else gate.set_exception(ConnectionError())

    async def play(self, steps: list[object]) -> None:
        for step in steps:
            if step == "begin":
                self.begin()
            elif isinstance(step, tuple) and self.tasks:
                self.strike(step[0], step[1] % len(self.tasks))
            elif not isinstance(step, tuple):
                for _ in range(1 if step == "turn" else 10):
                    await asyncio.sleep(0)
        for gate in self.gates:
            if not gate.done():
                gate.set_result(None)
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for gate in self.gates:
            gate.cancelled() or gate.exception()  # looked at, also where its call never began


def error_of(task: asyncio.Task[None]) -> BaseException | None:
    return None if task.cancelled() else task.exception()


@settings(max_examples=300, deadline=None)
@given(STEPS, st.integers(1, 3), st.integers(0, 3))
def test_never_above_its_limit_and_no_place_is_ever_lost(steps: list[object], limit: int, waiting: int) -> None:
    with virtual_time():
        bulkhead = Bulkhead(limit, waiting)
        places = bulkhead.places.current()
        crowd = Crowd(bulkhead)
        asyncio.run(crowd.play(steps))
        refused = {number for number, task in enumerate(crowd.tasks) if isinstance(error_of(task), BulkheadFull)}
        assert crowd.most_running <= limit
        assert len(places.free) == limit
        assert not places.waiters
        assert len(refused) == places.refused
        assert crowd.began | refused | crowd.cancelled == set(range(len(crowd.tasks)))
        assert not crowd.began & refused


@settings(max_examples=100, deadline=None)
@given(STEPS, st.integers(0, 3))
def test_an_adaptive_one_gives_every_place_back_too_however_its_limit_moves(steps: list[object], waiting: int) -> None:
    class Restless(AimdLimit):
        """Moves its limit at every call."""

        __slots__ = ()

        def start(self) -> Restless:
            return self

        limit = 3

        def observe(self, call_seconds: float, running: int, overloaded: bool) -> int:
            assert 1 <= running <= 5
            return next(limits)

    limits = iter([1, 5, 2, 4, 1, 1, 3] * 20)
    with virtual_time():
        bulkhead = Bulkhead(Restless(maximum=20), waiting)
        places = bulkhead.places.current()
        crowd = Crowd(bulkhead)
        asyncio.run(crowd.play(steps))
        assert crowd.most_running <= 5
        assert places.running == 0
        assert len(places.free) == places.limit
        assert not places.waiters


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    """Threads take turns as often as they can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


class Press:
    """Threads and loops that share a bulkhead; `most` ever ran at once."""

    def __init__(self, bulkhead: Bulkhead) -> None:
        self.bulkhead = bulkhead
        self.lock = threading.Lock()
        self.running = self.most = self.ended = 0

    def enter(self) -> None:
        with self.lock:
            self.running += 1
            self.most = max(self.most, self.running)

    def leave(self) -> None:
        with self.lock:
            self.running -= 1
            self.ended += 1

    def plain(self) -> None:
        self.enter()
        self.leave()

    async def waiting(self, chance: SeededRandomness) -> None:
        self.enter()
        try:
            for _ in range(chance.bits(1)):
                await asyncio.sleep(0)
        finally:
            self.leave()

    def thread(self, calls: int) -> None:
        for _ in range(calls):
            self.bulkhead.call(self.plain)

    def loop(self, calls: int, seed: int) -> None:
        asyncio.run(self._loop(calls, SeededRandomness(seed)))

    async def _loop(self, calls: int, chance: SeededRandomness) -> None:
        for _ in range(calls // 10):
            tasks = [asyncio.create_task(self.bulkhead.call(self.waiting, chance)) for _ in range(10)]
            for _ in range(chance.bits(2)):
                await asyncio.sleep(0)
            for task in tasks:
                if chance.bits(2) == 0:
                    task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("limit", [1, 2, AimdLimit(initial=2, maximum=2)])
@pytest.mark.usefixtures("hasty_threads")
def test_threads_and_tasks_that_press_hard_never_exceed_it_nor_starve(
    clock: VirtualClock, limit: int | AimdLimit
) -> None:
    bulkhead = Bulkhead(limit, waiting=100)
    press = Press(bulkhead)
    work = [lambda: press.thread(300)] * 3 + [lambda seed=seed: press.loop(100, seed) for seed in range(2)]
    threads = [threading.Thread(target=copy_context().run, args=(each,)) for each in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    places = bulkhead.places.current()
    assert press.most <= places.limit
    assert (places.running, len(places.waiters), places.refused) == (0, 0, 0)
    assert press.ended >= 900
