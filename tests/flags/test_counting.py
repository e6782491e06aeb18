"""Counts cost little and lose nothing."""

from __future__ import annotations

import sys
import threading

import pytest

from insula.flags import BooleanFlag, ErrorCode, Flags, use
from insula.flags.buckets import murmur3

THREADS, QUESTIONS = 4, 20_000


def test_threads_that_count_at_once_lose_nothing() -> None:
    flags = use(Flags({"counted": {"targeting": "true", "rollout": 100}}))
    counted = BooleanFlag("counted", default=False)
    from insula.kernel.context import process_state

    state = process_state.get()

    def ask() -> None:
        process_state.set(state)
        for _ in range(QUESTIONS):
            counted.is_on("ann")

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    threads = [threading.Thread(target=ask) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.setswitchinterval(before)
    assert flags.counts == {"counted": {"on": THREADS * QUESTIONS}}


def test_without_the_extra_only_rollouts_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mmh3", None)
    murmur3.cache_clear()
    try:
        assert Flags({"f": {"targeting": "true", "allow": ["ann"]}}).is_on("f")
        details = Flags({"f": {"rollout": 20}}).details("f", 1)
        assert (details.value, details.code) == (1, ErrorCode.PARSE_ERROR)
        assert "pip install 'insula[flags]'" in details.message
    finally:
        murmur3.cache_clear()
