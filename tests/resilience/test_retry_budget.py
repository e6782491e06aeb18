from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insula.resilience import ConstantBackoff, Retry, RetryBudget
from insula.resilience.events import GaveUp
from insula.testing import virtual_time
from support.ways import Script, Way


def test_without_a_token_the_error_is_raised_at_once(way: Way) -> None:
    heard: list[object] = []
    budget = RetryBudget(ratio=0.5, minimum_per_second=0, burst=1)
    retry = Retry(on=ConnectionError, attempts=5, backoff=ConstantBackoff(0), budget=budget, listener=heard.append)
    script = Script(ConnectionError())
    with pytest.raises(ConnectionError) as raised:
        way.call(retry, script)
    assert script.calls == 2
    assert raised.value.__notes__[0].endswith("the retry budget is used up")
    assert isinstance(heard[-1], GaveUp)


def test_seconds_and_calls_earn_tokens(way: Way) -> None:
    budget = RetryBudget(ratio=0.5, minimum_per_second=0.25, burst=2)
    retry = Retry(on=ConnectionError, attempts=9, backoff=ConstantBackoff(0), budget=budget)

    def calls_of_one_that_fails() -> int:
        script = Script(ConnectionError())
        with pytest.raises(ConnectionError):
            way.call(retry, script)
        return script.calls

    assert calls_of_one_that_fails() == 3  # the two saved
    assert [calls_of_one_that_fails() for _ in range(3)] == [1, 2, 1]  # two calls earn one
    way.clock.advance(4)
    assert calls_of_one_that_fails() == 3  # one from the seconds, one from this call and the one before
    for _ in range(10):
        way.call(retry, Script("paid"))
    assert calls_of_one_that_fails() == 3  # no more is saved than the burst


@given(
    st.lists(st.tuples(st.sampled_from(["call", "retry", "wait"]), st.integers(1, 20)), max_size=60),
    st.floats(0.01, 2),
    st.floats(0, 5),
    st.floats(1, 20),
)
def test_the_budget_is_never_exceeded(
    steps: list[tuple[str, int]], ratio: float, per_second: float, burst: float
) -> None:
    with virtual_time() as clock:
        tokens = RetryBudget(ratio, per_second, burst).tokens.current()
        calls = retries = 0
        for step, times in steps:
            for _ in range(times):
                if step == "call":
                    tokens.count_call()
                    calls += 1
                elif step == "wait":
                    clock.advance(0.1)
                else:
                    retries += tokens.take()
                assert retries <= burst + ratio * calls + per_second * clock.monotonic() + 1e-6


def test_threads_lose_no_token_and_gain_none() -> None:
    with virtual_time():
        tokens = RetryBudget(ratio=0.5, minimum_per_second=0, burst=1000).tokens.current()
        while tokens.take():
            pass
        took: list[int] = []

        def work() -> None:
            for _ in range(100):
                tokens.count_call()
            took.append(sum(tokens.take() for _ in range(100)))

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(took) + int(tokens.left()) == 400


def test_one_budget_serves_several_retries(way: Way) -> None:
    budget = RetryBudget(ratio=0.1, minimum_per_second=0, burst=1)
    one, other = (Retry(on=ConnectionError, backoff=ConstantBackoff(0), budget=budget) for _ in range(2))
    scripts = Script(ConnectionError()), Script(ConnectionError())
    for retry, script in zip((one, other), scripts, strict=True):
        with pytest.raises(ConnectionError):
            way.call(retry, script)
    assert [script.calls for script in scripts] == [2, 1]
