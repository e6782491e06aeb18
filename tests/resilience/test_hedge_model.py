"""A hedge against a plain reference, over random latencies, failures and cancellations, many calls at once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from insula.resilience import Hedge, RetryBudget
from insula.testing import VirtualClock, virtual_time

AFTER = 1.0
# No two moments fall together: attempts begin at whole seconds.
ATTEMPT = st.tuples(st.integers(0, 40).map(lambda tenths: tenths / 10 + 0.05), st.booleans())
CALL = st.tuples(st.lists(ATTEMPT, min_size=4, max_size=4), st.none() | st.integers(0, 30).map(lambda n: n / 10 + 0.02))


@dataclass
class Callee:
    """Each call has its attempts: how long they take, and whether they work."""

    clock: VirtualClock
    running: dict[int, int] = field(default_factory=dict)
    began: dict[int, int] = field(default_factory=dict)
    most: int = 0

    async def ask(self, call: int, attempts: list[tuple[float, bool]]) -> int:
        number = self.began[call] = self.began.get(call, 0) + 1
        self.running[call] = self.running.get(call, 0) + 1
        self.most = max(self.most, self.running[call])
        seconds, works = attempts[number - 1]
        try:
            await self.clock.sleep(seconds)
        finally:
            self.running[call] -= 1
        if not works:
            raise ConnectionError(number)
        return number


def expected(attempts: list[tuple[float, bool]], most: int) -> tuple[float, int, bool]:
    """When the call ends, which attempt ends it, and whether it works, as the documentation says it."""
    begins = [AFTER * number for number in range(most)]
    ends = sorted(
        (begin + seconds, number + 1, works)
        for number, (begin, (seconds, works)) in enumerate(zip(begins, attempts, strict=False))
    )
    first_failure = min((end for end, _, works in ends if not works), default=float("inf"))
    took_part = [(end, number, works) for end, number, works in ends if begins[number - 1] < first_failure]
    answer = next((each for each in took_part if each[2]), None)
    return answer or (took_part[-1][0], took_part[0][1], False)


@given(st.lists(ATTEMPT, min_size=4, max_size=4), st.integers(2, 4))
def test_one_call_ends_when_and_as_the_reference_says(attempts: list[tuple[float, bool]], most: int) -> None:
    async def one() -> tuple[float, int, bool]:
        try:
            number = await clock.run(hedge.call(callee.ask, 1, attempts))
        except ConnectionError as error:
            return clock.monotonic(), error.args[0], False
        return clock.monotonic(), number, True

    with virtual_time() as clock:
        callee, hedge = Callee(clock), Hedge(AFTER, idempotent=True, attempts=most)
        ended, number, works = asyncio.run(one())
    end, expected_number, expected_works = expected(attempts, most)
    assert (round(ended, 6), number, works) == (round(end, 6), expected_number, expected_works)


@settings(max_examples=100)
@given(st.lists(CALL, min_size=1, max_size=30), st.integers(2, 4), st.floats(0.05, 1), st.integers(1, 5))
def test_never_more_attempts_than_allowed_never_more_than_the_budget_and_none_is_left(
    calls: list[tuple[list[tuple[float, bool]], float | None]], most: int, ratio: float, burst: int
) -> None:
    async def all_at_once() -> int:
        tasks = []
        for call, (attempts, cancelled_after) in enumerate(calls):
            tasks.append(asyncio.create_task(hedge.call(callee.ask, call, attempts)))
            if cancelled_after is not None:
                clock.call_at(clock.monotonic() + cancelled_after, tasks[-1].cancel)
            await asyncio.sleep(0)
        results = await clock.run(asyncio.gather(*tasks, return_exceptions=True))
        assert {type(each) for each in results} <= {int, ConnectionError, asyncio.CancelledError}
        return len(asyncio.all_tasks())

    with virtual_time() as clock:
        callee = Callee(clock)
        hedge = Hedge(AFTER, idempotent=True, attempts=most, budget=RetryBudget(ratio, 0, burst))
        assert asyncio.run(all_at_once()) == 1
        hedged = hedge.snapshot().hedged
    assert callee.most <= most
    assert set(callee.running.values()) <= {0}
    assert sum(callee.began.values()) - len(callee.began) == hedged <= burst + ratio * len(calls)
