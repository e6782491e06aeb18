"""What a flow or a channel cannot do is refused, with what to write instead."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, cast

import pytest

from insula.streams import Channel, Flow

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 30


async def three() -> AsyncIterator[int]:
    for number in range(3):
        yield number


async def closed_channel() -> Channel[int]:
    channel = Channel[int](3)
    await channel.send(1)
    channel.close()
    return channel


def in_another_loop(work: Callable[[], Any]) -> BaseException | None:
    """What a coroutine function raises in an event loop on another thread; the caller's loop stands still."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(asyncio.wait_for(work(), PATIENCE_SECONDS))
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(PATIENCE_SECONDS)
    return raised[0] if raised else None


async def test_a_second_event_loop_may_not_wake_a_receiver_of_the_first() -> None:
    channel = Channel[int](1)
    receiving = asyncio.create_task(channel.receive())
    await asyncio.sleep(0)
    assert "used from two event loops" in str(in_another_loop(lambda: channel.send(1)))
    await channel.send(2)
    assert await receiving == 2


async def test_a_second_event_loop_may_not_wait_at_a_full_or_an_empty_channel() -> None:
    full, empty = Channel[int](1), Channel[int](1)
    await full.send(1)
    await empty.send(1)
    await empty.receive()
    assert "others take `blocking`" in str(in_another_loop(lambda: full.send(2)))
    assert "others take `blocking`" in str(in_another_loop(empty.receive))


async def test_a_second_event_loop_may_not_wake_a_sender_of_the_first() -> None:
    channel = Channel[int](1)
    await channel.send(1)
    sending = asyncio.create_task(channel.send(2))
    await asyncio.sleep(0)
    assert "used from two event loops" in str(in_another_loop(channel.receive))
    assert await channel.receive() == 1
    await sending
    assert await channel.receive() == 2


def test_a_thread_that_sends_without_a_loop_is_told_to_take_blocking() -> None:
    with pytest.raises(RuntimeError, match=r"channel.blocking.*end.send\(item\)"):
        Channel[int](1).send_nowait(1)


@pytest.mark.parametrize("source", [lambda: iter([0, 1, 2]), lambda: (n for n in range(3)), three])
async def test_a_source_that_is_its_own_iterator_serves_one_run(source: Callable[[], Any]) -> None:
    flow = Flow[int](source())
    assert await flow.run() == 3
    with pytest.raises(RuntimeError, match=r"can be iterated once only.*a new Flow for each run"):
        await flow.run()


async def test_a_channel_serves_one_run_of_a_flow() -> None:
    flow = Flow(await closed_channel())
    assert await flow.run() == 1
    with pytest.raises(RuntimeError, match="can be iterated once only"):
        await flow.map(str).run()


async def test_a_list_serves_as_many_runs_as_you_like() -> None:
    flow = Flow([1, 2])
    assert [await flow.run() for _ in range(3)] == [2, 2, 2]


@pytest.mark.parametrize("stage", [Flow.map, Flow.filter])
async def test_a_plain_function_is_not_said_to_run_several_at_once(stage: Any) -> None:
    diverted: list[Any] = []
    flow = stage(Flow(range(9)), str, concurrency=8, divert=lambda *lost: diverted.append(lost))
    with pytest.raises(TypeError, match=r"a plain function.*asyncio\.to_thread"):
        await flow.run()
    assert diverted == []


async def test_a_plain_function_that_gives_something_to_await_may_run_several_at_once() -> None:
    async def plus(number: int, more: int) -> int:
        return number + more

    flow = Flow(range(3)).map(lambda number: plus(number, 1), concurrency=3)
    assert await flow.collect(limit=3) == [1, 2, 3]


async def test_an_error_next_to_a_source_that_ends_has_no_note_about_the_end() -> None:
    async def fail(number: int) -> None:
        raise OSError("no disk")

    for concurrency in (1, 2):
        with pytest.raises(OSError, match="no disk") as failure:
            await Flow([1]).buffer(2).map(fail, concurrency=concurrency).run()
        assert failure.value.__notes__ == ["Raised in stage 2. map(fail) of a flow."]


async def test_an_error_of_divert_names_divert_and_its_stage() -> None:
    def refuse(number: int, error: Exception) -> None:
        raise OSError("no room for failures")

    with pytest.raises(OSError, match="no room") as failure:
        await Flow([0]).map(lambda n: 1 // n, divert=refuse).run()
    assert failure.value.__notes__ == ["Raised in `divert` of stage 1. map(<lambda>) of a flow."]


async def test_the_counters_show_which_stage_is_blocked_on_what_comes_after_it() -> None:
    flow = Flow(range(100)).buffer(3).batch(1)
    items = aiter(flow)
    await anext(items)
    for _ in range(10):
        await asyncio.sleep(0)
    assert [counters.blocked for counters in flow.counters()] == [0, 1, 0]
    await items.aclose()
    assert [counters.blocked for counters in flow.counters()] == [0, 0, 0]


async def test_the_counters_of_a_channel_show_how_many_senders_wait() -> None:
    channel = Channel[int](1)
    sending = [asyncio.create_task(channel.send(number)) for number in range(3)]
    await asyncio.sleep(0)
    assert channel.counters().blocked == 2
    channel.cancel()
    await asyncio.gather(*sending, return_exceptions=True)


@pytest.mark.parametrize(
    ("build", "advice"),
    [
        (lambda flow: flow.map(5), r"Flow.map: function=5 is no function"),
        (lambda flow: flow.filter(None), r"Flow.filter: predicate=None is no function"),
        (lambda flow: flow.map(str, divert=5), r"divert=5 is no function.*lambda item, error"),
        (lambda flow: flow.merge(), r"Flow.merge: there is no other flow; write merge\(other\)"),
        (lambda flow: flow.merge([1]), r"Flow.merge: \[1\] is no Flow; write merge\(Flow\(source\)\)"),
        (lambda flow: flow.take(0), r"Flow.take: count=0 is less than one; write count=1"),
        (lambda flow: flow.take("3"), r"Flow.take: count='3' is no whole number"),
        (lambda flow: flow.throttle(0.4), r"Flow.throttle: count=0.4 .*throttle\(1, per=2.5\)"),
        (lambda flow: flow.tee([]), r"Flow.tee: channel=\[\] is no Channel; write tee\(channel\)"),
        (lambda flow: flow.partition(5, lanes=2, each=lambda lane: lane), r"Flow.partition: key=5 is no function"),
        (lambda flow: flow.partition(str, lanes=2, each=None), r"each=None is no function.*lambda lane: lane\.map"),
        (lambda flow: flow.partition(str, lanes=2, each=lambda _: None), r"each= must return a flow.*returned None"),
        (lambda _: Flow.from_thread(cast("Any", [])), r"Flow.from_thread: function=.* is no function"),
    ],
)
def test_a_wrong_argument_is_refused_with_what_to_write(build: Any, advice: str) -> None:
    with pytest.raises((TypeError, ValueError), match=advice):
        build(Flow([1]))


def test_mypy_lets_a_flow_be_closed_early(tmp_path: Path) -> None:
    case = tmp_path / "closing.py"
    case.write_text(
        "from contextlib import aclosing\nfrom insula.streams import Flow\n\n"
        "async def first() -> int:\n"
        "    async with aclosing(aiter(Flow([1]))) as items:\n"
        "        return await anext(items)\n"
    )
    run = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", str(case)],
        cwd=ROOT,
        env={"MYPYPATH": str(ROOT / "src"), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stdout + run.stderr == ""
