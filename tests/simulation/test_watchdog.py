"""Code that blocks the one thread is interrupted and named."""

from __future__ import annotations

import inspect
import signal
import threading
from collections.abc import Callable

import pytest

from insula import Command, Module, System
from insula.simulation import Plan, Simulation
from insula.simulation.machine.watchdog import BlockedThread
from insula.simulation.simulation import Stage

OpenStage = Callable[[Simulation], Stage]


class Ask(Command[None]):
    pass


def compute_for_ever() -> None:
    turns = 0
    while True:
        try:
            turns += 1
        except Exception:
            pass


def wait_for_ever() -> None:
    threading.Event().wait()


def blocking_system(block: Callable[[], None]) -> System:
    module = Module("blocking")

    @module.handle(Ask)
    async def answer(command: Ask) -> None:
        block()

    return System("blocking", module)


@pytest.mark.parametrize("block", [compute_for_ever, wait_for_ever])
def test_blocking_code_is_interrupted_and_named(
    open_stage: OpenStage, monkeypatch: pytest.MonkeyPatch, block: Callable[[], None]
) -> None:
    monkeypatch.setattr("insula.simulation.machine.watchdog.BLOCKED_SECONDS", 0.2)
    stage = open_stage(Simulation(blocking_system(block), [Ask()]))
    with pytest.raises(BlockedThread) as caught:
        stage.run(1, Plan(1))
    lines = inspect.getsourcelines(block)
    inside = range(lines[1], lines[1] + len(lines[0]))
    told = str(caught.value)
    assert told.startswith("blocked for 0.2 s of real time at tests/simulation/test_watchdog.py:")
    assert int(told.split("test_watchdog.py:")[1].partition(" ")[0]) in inside
    assert f" in {block.__name__}, called from tests/simulation/test_watchdog.py:" in told


def test_it_leaves_no_alarm_behind_and_respects_that_of_others(open_stage: OpenStage) -> None:
    stage = open_stage(Simulation(blocking_system(lambda: None), [Ask()]))
    stage.run(1)
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL
    theirs = signal.signal(signal.SIGALRM, signal.SIG_IGN)
    try:
        stage.run(1)
        assert signal.getsignal(signal.SIGALRM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGALRM, theirs)
