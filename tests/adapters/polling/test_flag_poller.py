"""A thread that renews flags, in every process its own."""

from __future__ import annotations

import threading
from pathlib import Path
from queue import Queue

import pytest

from insula.adapters.polling.flag_poller import FlagPoller
from insula.flags import Content, Flags, FlagsChange
from insula.testing import VirtualClock
from support.forking import in_child


class Counting:
    """A source whose version says how often it was read."""

    name, waits = "a server", True

    def __init__(self) -> None:
        self.reads: Queue[int] = Queue()
        self.number = 0

    def read(self, known: Content | None = None) -> Content:
        self.number += 1
        self.reads.put(self.number)
        return Content(b'{"version": "%d", "flags": {"f": {"default": "on"}}}' % self.number)


@pytest.fixture
def source() -> Counting:
    return Counting()


def test_flags_are_there_when_it_has_started_and_renewed_from_then_on(source: Counting) -> None:
    clock = VirtualClock()
    poller = FlagPoller(Flags(source, check_seconds=30, clock=clock), clock=clock)
    poller.start()
    assert poller.flags.is_on("f")
    assert source.reads.get(timeout=10) == 1
    for number in (2, 3):
        while clock.next_alarm() is None:
            threading.Event().wait(0.001)
        clock.advance(30)
        assert source.reads.get(timeout=10) == number
    poller.stop()
    assert not poller.runs
    assert source.reads.empty()


def test_a_source_that_lets_us_hang_holds_nobody_up(source: Counting) -> None:
    class Silent(Counting):
        answers = threading.Event()

        def read(self, known: Content | None = None) -> Content:
            self.answers.wait(10)
            return super().read(known)

    silent = Silent()
    poller = FlagPoller(Flags(silent))
    poller.start(wait_seconds=0.01)
    assert poller.flags.unready is not None
    silent.answers.set()
    assert silent.reads.get(timeout=10) == 1
    poller.stop()


def test_flags_of_a_source_that_lets_us_hang_become_stale_for_listeners_too(source: Counting) -> None:
    class Silent(Counting):
        answers = threading.Event()

        def read(self, known: Content | None = None) -> Content:
            self.answers.wait(10)
            return super().read(known)

    flags, told = Flags(Silent(), stale_seconds=0.01), Queue[FlagsChange]()
    flags.listen(told.put)
    poller = FlagPoller(flags)
    poller.begin()
    change = told.get(timeout=10)
    assert (change.stale, change.trouble) == (True, "a server has not answered for 0.01 s")
    Silent.answers.set()
    assert not told.get(timeout=10).stale
    poller.stop()


def test_it_may_be_stopped_before_it_began_and_twice(source: Counting) -> None:
    poller = FlagPoller(Flags(source))
    poller.stop()
    poller.start()
    poller.stop()
    poller.stop()
    assert not poller.runs


def test_a_forked_process_has_a_thread_of_its_own(source: Counting) -> None:
    poller = FlagPoller(Flags(source), every_seconds=0.01)
    poller.start()

    def child() -> list[bool]:
        before = source.number
        source.reads = Queue()
        return [poller.runs, source.reads.get(timeout=10) > before, poller.flags.is_on("f")]

    try:
        assert in_child(child) == [True, True, True]
        assert poller.runs, "the parent's goes on"
    finally:
        poller.stop()


def test_a_file_that_is_polled_is_never_read_while_a_flag_is_asked_for(tmp_path: Path) -> None:
    file, clock = tmp_path / "flags.toml", VirtualClock()
    file.write_text("[flags.f]\n")
    flags = Flags(file, check_seconds=0, clock=clock)
    poller = FlagPoller(flags, every_seconds=30, clock=clock)
    poller.start()
    file.write_text("[flags.f]\ndefault = 'on'\n")
    assert [flags.is_on("f") for _ in range(3)] == [False] * 3
    poller.stop()
    assert [flags.is_on("f") for _ in range(3)][-1], "now nobody else looks"
