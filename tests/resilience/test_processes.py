"""What a policy knows belongs to one process: the real one, its forks, and each simulated one."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from insula.kernel import SeededRandomness, new_process, process_state
from insula.resilience import CircuitBreaker, TimedOut, Timeout
from insula.testing import VirtualClock, virtual_time
from support.ways import Script, Way


def test_simulated_processes_do_not_share_a_breaker_and_leave_the_real_one_alone(way: Way) -> None:
    breaker = CircuitBreaker(failure_threshold=1)
    with pytest.raises(ConnectionError):
        way.call(breaker, Script(ConnectionError()))
    assert breaker.snapshot().state == "open"
    with virtual_time():
        assert breaker.snapshot().state == "closed"
    token = process_state.set(new_process(VirtualClock(), SeededRandomness(2)))
    assert breaker.snapshot().state == "closed"
    process_state.reset(token)
    assert breaker.snapshot().state == "open"


def test_a_policy_made_in_a_simulated_process_serves_the_real_one_in_real_time() -> None:
    with virtual_time() as clock:
        clock.advance(1e9)
        breaker = CircuitBreaker()
        assert breaker.circuits.current().monotonic() == 1e9
    assert breaker.circuits.own.monotonic() < 1e9


FORKING = """
import os
from insula.resilience import CircuitBreaker, RateLimiter, RetryBudget
breaker, budget = CircuitBreaker(failure_threshold=1), RetryBudget(burst=2, minimum_per_second=0)
limiter = RateLimiter(1, per_seconds=3600)
breaker.force_open()
limiter.try_acquire()
circuit, tokens, rates = breaker.circuits.own, budget.tokens.own, limiter.rates.own
tokens.take()
with circuit.lock, tokens.lock, rates.lock:  # as if other threads held them at this moment
    child = os.fork()
    if child == 0:
        locked = circuit.lock.locked() or tokens.lock.locked() or rates.lock.locked()
        kept = not locked and breaker.snapshot().state == "forced open" and tokens.take() and not tokens.take()
        kept = kept and not limiter.try_acquire()
        os._exit(0 if kept else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


FORKING_FULL = """
import os, threading
from insula.resilience import AimdLimit, Bulkhead
full, adapting, threaded = Bulkhead(2, waiting=1), Bulkhead(AimdLimit(initial=2)), Bulkhead(1, on_threads=True)
with full:
    threading.Thread(target=full.call, args=(threading.Event().wait, 60), daemon=True).start()
    while full.snapshot().running < 2:
        pass
    threading.Thread(target=full.call, args=(len, ""), daemon=True).start()
    while not full.snapshot().waiting:
        pass
    with adapting:
        threaded.call(len, "")
        with full.places.own.lock:
            child = os.fork()
if child == 0:
    snapshots = [each.snapshot() for each in (full, adapting)]
    empty = all((each.limit, each.running, each.waiting) == (2, 0, 0) for each in snapshots)
    with full, full:
        empty = empty and full.snapshot().running == 2
    os._exit(0 if empty and threaded.call(len, "four") == 4 else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def ran(program: str) -> str:
    """What a program of its own prints."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", program]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def test_a_forked_process_keeps_the_state_and_gets_new_locks() -> None:
    assert ran(FORKING) == "0\n"


def test_in_a_forked_process_the_places_of_a_bulkhead_are_free_since_its_calls_go_on_in_the_parent() -> None:
    assert ran(FORKING_FULL) == "0\n"


FORKING_IN_A_TASK = """
import asyncio, os
from insula.resilience import TimedOut, Timeout
timeout = Timeout(0.001)

async def hang():
    await asyncio.Event().wait()

async def main():
    await timeout.call(asyncio.sleep, 0)
    child = os.fork()
    if child == 0:
        try:
            asyncio.run(asyncio.wait_for(timeout.call(hang), 10))
        except TimedOut:
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

print(asyncio.run(main()))
"""


def test_a_timeout_works_in_a_process_that_was_forked_within_a_task() -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", FORKING_IN_A_TASK]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert ran.stdout == "0\n"


def test_where_no_thread_may_start_a_timeout_runs_the_function_and_looks_at_the_clock_afterwards() -> None:
    clock = VirtualClock()
    token = process_state.set(new_process(clock, SeededRandomness(1), one_thread=True))
    timeout = Timeout(2, on_thread=True)
    here = threading.current_thread()
    assert timeout.call(threading.current_thread) is here
    with pytest.raises(TimedOut):
        timeout.call(clock.block, 3.0)
    process_state.reset(token)
