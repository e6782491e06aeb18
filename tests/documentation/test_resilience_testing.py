"""A test in virtual time, as docs/resilience.md shows it."""

from __future__ import annotations

# fmt: off
from insula.resilience import ConstantBackoff, ResiliencePipeline, Retry, Timeout
from insula.testing import virtual_time


async def test_a_payment_that_hangs_is_tried_again() -> None:
    attempts = ResiliencePipeline(Retry(on=TimeoutError, backoff=ConstantBackoff(1)), Timeout(2))
    seconds = iter((60, 60, 0))
    with virtual_time() as clock:                # a process of its own: its clock, its chance, its policies' state
        async def hang() -> None:
            await clock.sleep(next(seconds))

        await clock.run(attempts.call(hang))
        assert clock.monotonic() == 6            # two attempts of 2 s and two waits of 1 s, and no real time
# fmt: on
