"""Streams: items a second through bounded channels, between tasks and threads, and through flows of stages.

Everybody moves the same integers, one producer to one consumer, one item a call. The floors do as little as can work:
between tasks a deque and one future for whoever waits; from a thread a deque, a semaphore, and one wake-up of the loop
for a burst; between threads a deque and two semaphores; for flows one async function that loops. The peers of the flows
are what people write with asyncio.Queue: a task for each stage, a queue of 128 in between. `flow, buffered` has buffers
of 128 at the same places, `flow` needs none, since each stage pulls from the one before it.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from benchmarks.harness import Case, Contender, Sample, Settings, run
from insula.streams import Channel, Flow

ITEMS = 10_000
THREAD_SIZE = 1000
BATCH = 100
END = object()

Put = Callable[[int], Awaitable[object]]
Get = Callable[[], Awaitable[object]]
Blocking = Callable[[int], object]


async def rate(move: Callable[[int], Awaitable[object]], seconds: float) -> float:
    """Items a second of a function that moves so many."""
    moved, started = 0, time.perf_counter()
    while (passed := time.perf_counter() - started) < seconds:
        await move(ITEMS)
        moved += ITEMS
    return moved / passed


def sampled(move: Callable[[int], Awaitable[object]], settings: Settings) -> Sample:
    async def sample() -> float:
        return await rate(move, settings.seconds)

    return sample


async def between_tasks(put: Put, get: Get, count: int) -> None:
    async def produce() -> None:
        for number in range(count):
            await put(number)

    async def consume() -> None:
        for _ in range(count):
            await get()

    await asyncio.gather(produce(), consume())


async def from_a_thread(put: Blocking, get: Get, count: int) -> None:
    def produce() -> None:
        for number in range(count):
            put(number)

    thread = threading.Thread(target=produce)
    thread.start()
    for _ in range(count):
        await get()
    thread.join()


def between_threads(put: Blocking, get: Callable[[], object], count: int) -> None:
    def produce() -> None:
        for number in range(count):
            put(number)

    thread = threading.Thread(target=produce)
    thread.start()
    for _ in range(count):
        get()
    thread.join()


class BareQueue:
    """The least queue between two tasks."""

    def __init__(self, size: int) -> None:
        self.items: deque[int] = deque()
        self.size = size
        self.loop = asyncio.get_running_loop()
        self.putter: asyncio.Future[None] | None = None
        self.getter: asyncio.Future[None] | None = None

    async def put(self, item: int) -> None:
        while len(self.items) >= self.size:
            self.putter = self.loop.create_future()
            await self.putter
        self.items.append(item)
        if self.getter is not None:
            self.getter.set_result(None)
            self.getter = None

    async def get(self) -> int:
        while not self.items:
            self.getter = self.loop.create_future()
            await self.getter
        item = self.items.popleft()
        if self.putter is not None:
            self.putter.set_result(None)
            self.putter = None
        return item


class BareThreadQueue:
    """The least bounded queue from a thread to a task: the loop is woken once for a burst."""

    def __init__(self, size: int) -> None:
        self.items: deque[int] = deque()
        self.room = threading.Semaphore(size)
        self.loop = asyncio.get_running_loop()
        self.filled = asyncio.Event()
        self.waking = False

    def put(self, item: int) -> None:
        self.room.acquire()
        self.items.append(item)
        if not self.waking:
            self.waking = True
            self.loop.call_soon_threadsafe(self.wake)

    def wake(self) -> None:
        self.waking = False
        self.filled.set()

    async def get(self) -> int:
        while not self.items:
            self.filled.clear()
            await self.filled.wait()
        self.room.release()
        return self.items.popleft()


class BareBlockingQueue:
    """The least bounded queue between threads."""

    def __init__(self, size: int) -> None:
        self.items: deque[int] = deque()
        self.room = threading.Semaphore(size)
        self.filled = threading.Semaphore(0)

    def put(self, item: int) -> None:
        self.room.acquire()
        self.items.append(item)
        self.filled.release()

    def get(self) -> int:
        self.filled.acquire()
        item = self.items.popleft()
        self.room.release()
        return item


Opening = Callable[[Settings], Any]


def channel(size: int) -> Opening:
    @asynccontextmanager
    async def opened(settings: Settings) -> AsyncIterator[Sample]:
        ours = Channel[int](size)
        yield sampled(lambda count: between_tasks(ours.send, ours.receive, count), settings)

    return opened


def bare_queue(size: int) -> Opening:
    @asynccontextmanager
    async def opened(settings: Settings) -> AsyncIterator[Sample]:
        bare = BareQueue(size)
        yield sampled(lambda count: between_tasks(bare.put, bare.get, count), settings)

    return opened


def asyncio_queue(size: int) -> Opening:
    @asynccontextmanager
    async def opened(settings: Settings) -> AsyncIterator[Sample]:
        theirs = asyncio.Queue[int](size)
        yield sampled(lambda count: between_tasks(theirs.put, theirs.get, count), settings)

    return opened


def anyio_stream(size: int) -> Opening:
    @asynccontextmanager
    async def opened(settings: Settings) -> AsyncIterator[Sample]:
        import anyio

        send, receive = anyio.create_memory_object_stream[int](size)
        with send, receive:
            yield sampled(lambda count: between_tasks(send.send, receive.receive, count), settings)

    return opened


def culsans_queue(size: int) -> Opening:
    @asynccontextmanager
    async def opened(settings: Settings) -> AsyncIterator[Sample]:
        import culsans

        theirs = culsans.Queue[int](size)
        yield sampled(lambda count: between_tasks(theirs.async_q.put, theirs.async_q.get, count), settings)
        theirs.shutdown()

    return opened


@asynccontextmanager
async def channel_from_a_thread(settings: Settings) -> AsyncIterator[Sample]:
    ours = Channel[int](THREAD_SIZE)
    end = ours.blocking
    yield sampled(lambda count: from_a_thread(end.send, ours.receive, count), settings)


@asynccontextmanager
async def bare_queue_from_a_thread(settings: Settings) -> AsyncIterator[Sample]:
    bare = BareThreadQueue(THREAD_SIZE)
    yield sampled(lambda count: from_a_thread(bare.put, bare.get, count), settings)


@asynccontextmanager
async def culsans_from_a_thread(settings: Settings) -> AsyncIterator[Sample]:
    import culsans

    theirs = culsans.Queue[int](THREAD_SIZE)
    yield sampled(lambda count: from_a_thread(theirs.sync_q.put, theirs.async_q.get, count), settings)
    theirs.shutdown()


@asynccontextmanager
async def janus_from_a_thread(settings: Settings) -> AsyncIterator[Sample]:
    import janus

    theirs = janus.Queue[int](THREAD_SIZE)
    yield sampled(lambda count: from_a_thread(theirs.sync_q.put, theirs.async_q.get, count), settings)
    await theirs.aclose()


def threads_only(make: Callable[[], tuple[Blocking, Callable[[], object]]]) -> Opening:
    @asynccontextmanager
    async def opened(settings: Settings) -> AsyncIterator[Sample]:
        put, get = make()
        yield sampled(lambda count: asyncio.to_thread(between_threads, put, get, count), settings)

    return opened


def channel_ends() -> tuple[Blocking, Callable[[], object]]:
    end = Channel[int](THREAD_SIZE).blocking
    return end.send, end.receive


def queue_ends() -> tuple[Blocking, Callable[[], object]]:
    theirs = queue.Queue[int](THREAD_SIZE)
    return theirs.put, theirs.get


def bare_ends() -> tuple[Blocking, Callable[[], object]]:
    bare = BareBlockingQueue(THREAD_SIZE)
    return bare.put, bare.get


async def treated(number: int) -> int:
    return number + 1


async def all_of(flow: Flow[Any]) -> None:
    async for _ in flow:
        pass


@asynccontextmanager
async def flow(settings: Settings) -> AsyncIterator[Sample]:
    yield sampled(lambda count: all_of(Flow(range(count)).map(treated).batch(BATCH)), settings)


@asynccontextmanager
async def buffered_flow(settings: Settings) -> AsyncIterator[Sample]:
    yield sampled(lambda count: all_of(Flow(range(count)).buffer(128).map(treated).buffer(128).batch(BATCH)), settings)


@asynccontextmanager
async def one_loop(settings: Settings) -> AsyncIterator[Sample]:
    async def move(count: int) -> None:
        batch = []
        for number in range(count):
            batch.append(await treated(number))
            if len(batch) == BATCH:
                batch = []

    yield sampled(move, settings)


@asynccontextmanager
async def pipeline_of_queues(settings: Settings) -> AsyncIterator[Sample]:
    async def move(count: int) -> None:
        first, second = asyncio.Queue[Any](128), asyncio.Queue[Any](128)

        async def produce() -> None:
            for number in range(count):
                await first.put(number)
            await first.put(END)

        async def treat() -> None:
            while (number := await first.get()) is not END:
                await second.put(await treated(number))
            await second.put(END)

        async def gather_batches() -> None:
            batch = []
            while (number := await second.get()) is not END:
                batch.append(number)
                if len(batch) == BATCH:
                    batch = []

        await asyncio.gather(produce(), treat(), gather_batches())

    yield sampled(move, settings)


def channel_case(size: int, target: str) -> Case:
    return Case(
        name=f"channel, {size}",
        unit="items/s",
        better="higher",
        ours=Contender("Insula", channel(size)),
        floor=Contender("deque and futures", bare_queue(size)),
        peers=(
            Contender("asyncio.Queue", asyncio_queue(size)),
            Contender("anyio", anyio_stream(size), packages=("anyio",)),
            Contender("culsans", culsans_queue(size), packages=("culsans",)),
        ),
        target=target,
    )


def flow_case(name: str, opening: Opening) -> Case:
    return Case(
        name=name,
        unit="items/s",
        better="higher",
        ours=Contender("Insula", opening),
        floor=Contender("one loop", one_loop),
        peers=(Contender("asyncio.Queue pipeline", pipeline_of_queues),),
        target="≥ 1.0 × peer",
    )


CASES = (
    channel_case(128, "≥ 1.2 × peer"),
    channel_case(1, "≥ 1.0 × peer"),
    Case(
        name="thread to async, bounded",
        unit="items/s",
        better="higher",
        ours=Contender("Insula", channel_from_a_thread),
        floor=Contender("deque, one wake-up a burst", bare_queue_from_a_thread),
        peers=(
            Contender("culsans", culsans_from_a_thread, packages=("culsans",)),
            Contender("janus", janus_from_a_thread, packages=("janus",)),
        ),
        target="≥ 1.0 × peer",
    ),
    Case(
        name="thread to thread",
        unit="items/s",
        better="higher",
        ours=Contender("Insula", threads_only(channel_ends)),
        floor=Contender("deque and semaphores", threads_only(bare_ends)),
        peers=(Contender("queue.Queue", threads_only(queue_ends)),),
        target="≥ 1.0 × peer",
    ),
    flow_case("flow", flow),
    flow_case("flow, buffered", buffered_flow),
)

if __name__ == "__main__":
    run((__doc__ or "").partition("\n\n")[0], CASES)
