from __future__ import annotations

import asyncio
import functools
import inspect
import logging

import pytest

from insula.resilience import (
    Bulkhead,
    BulkheadFull,
    CircuitBreaker,
    CircuitOpen,
    ConstantBackoff,
    Policy,
    RateLimited,
    RateLimiter,
    ResiliencePipeline,
    Retry,
    Timeout,
)
from insula.resilience.events import Event, Opened, Refused, Retried
from insula.resilience.functions import Function
from insula.resilience.policy import Tell
from insula.testing import VirtualClock, virtual_time
from support.ways import Script, Way

AT_ONCE = ConstantBackoff(0)


class Noted(Policy):
    """Writes down when a call comes by."""

    def __init__(self, name: str, notes: list[str]) -> None:
        super().__init__(name)
        self.notes = notes

    def wrap_sync(self, function: Function, tell: Tell | None) -> Function:
        def noted(*arguments: object) -> object:
            self.notes.append(self.name)
            return function(*arguments)

        return noted

    def wrap_async(self, function: Function, tell: Tell | None) -> Function:
        async def noted(*arguments: object) -> object:
            self.notes.append(self.name)
            return await function(*arguments)

        return noted


def test_the_first_policy_is_the_outermost_and_pipelines_nest(way: Way) -> None:
    notes: list[str] = []
    one, two, three = (Noted(name, notes) for name in ("one", "two", "three"))
    way.call(ResiliencePipeline(one, ResiliencePipeline(two, three)), Script("paid"))
    assert notes == ["one", "two", "three"]


def test_events_have_the_name_of_the_innermost_pipeline_that_has_one(way: Way) -> None:
    heard: list[Event] = []
    own: list[Event] = []
    retry = Retry(on=ConnectionError, attempts=2, backoff=AT_ONCE, name="again", listener=own.append)
    breaker = CircuitBreaker(failure_threshold=1, name="breaker")
    inner = ResiliencePipeline(ResiliencePipeline(breaker), name="inner")
    outer = ResiliencePipeline(ResiliencePipeline(retry), inner, name="outer", listener=heard.append)
    with pytest.raises(CircuitOpen):
        way.call(outer, Script(ConnectionError()))
    assert {(event.policy, event.pipeline) for event in heard} == {("again", "outer"), ("breaker", "inner")}
    assert [event.pipeline for event in own] == ["outer"]


def test_without_a_named_pipeline_events_have_none(way: Way) -> None:
    heard: list[Event] = []
    with pytest.raises(ConnectionError):
        way.call(ResiliencePipeline(CircuitBreaker(1), listener=heard.append), Script(ConnectionError()))
    assert [event.pipeline for event in heard] == [None]


def test_policies_in_a_list_are_refused_with_what_to_write() -> None:
    with pytest.raises(TypeError, match=r"one by one; write ResiliencePipeline\(one, another\), or .*\*policies"):
        ResiliencePipeline([Retry(on=OSError), CircuitBreaker()])  # type: ignore[arg-type]


def test_inside_a_retry_a_breaker_counts_each_attempt(way: Way) -> None:
    breaker = CircuitBreaker(failure_threshold=3)
    with pytest.raises(ConnectionError):
        way.call(ResiliencePipeline(Retry(on=ConnectionError, backoff=AT_ONCE), breaker), Script(ConnectionError()))
    assert breaker.snapshot().state == "open"


def test_around_a_retry_it_counts_the_whole(way: Way) -> None:
    breaker = CircuitBreaker(failure_threshold=3)
    with pytest.raises(ConnectionError):
        way.call(ResiliencePipeline(breaker, Retry(on=ConnectionError, backoff=AT_ONCE)), Script(ConnectionError()))
    assert breaker.snapshot().failures == 1


def test_a_retry_waits_for_an_open_breaker_inside(way: Way) -> None:
    pipeline = ResiliencePipeline(
        Retry(on=(ConnectionError, CircuitOpen), backoff=AT_ONCE), CircuitBreaker(1, open_seconds=30)
    )
    assert way.call(pipeline, Script(ConnectionError(), "paid")) == "paid"
    assert way.clock.monotonic() == 30.0


def test_a_policy_may_stand_in_several_pipelines_and_its_state_is_one(way: Way) -> None:
    breaker = CircuitBreaker(failure_threshold=2)
    for _ in range(2):
        with pytest.raises(ConnectionError):
            way.call(ResiliencePipeline(breaker), Script(ConnectionError()))
    with pytest.raises(CircuitOpen):
        way.call(breaker, Script("paid"))


def test_the_pipelines_listener_hears_all_its_policies_and_a_policys_own_only_that_one(way: Way) -> None:
    of_pipeline: list[Event] = []
    of_breaker: list[Event] = []
    breaker = CircuitBreaker(failure_threshold=2, name="breaker", listener=of_breaker.append)
    retry = Retry(on=ConnectionError, backoff=AT_ONCE, name="retry")
    with pytest.raises(CircuitOpen):
        way.call(ResiliencePipeline(retry, breaker, listener=of_pipeline.append), Script(ConnectionError()))
    assert [type(event) for event in of_breaker] == [Opened, Refused]
    assert [(type(event), event.policy) for event in of_pipeline] == [
        (Retried, "retry"), (Opened, "breaker"), (Retried, "retry"), (Refused, "breaker"),
    ]  # fmt: skip


def test_a_listener_that_raises_harms_no_call_and_is_logged(way: Way, caplog: pytest.LogCaptureFixture) -> None:
    def broken(event: Event) -> None:
        raise RuntimeError("the listener is broken")

    retry = Retry(on=ConnectionError, backoff=AT_ONCE, listener=broken)
    with caplog.at_level(logging.ERROR, "insula.resilience"):
        assert way.call(retry, Script(ConnectionError(), "paid")) == "paid"
    assert "a listener failed on Retried(" in caplog.text


def test_events_and_errors_name_the_users_function(clock: VirtualClock) -> None:
    heard: list[Event] = []

    @ResiliencePipeline(Retry(on=OSError, attempts=2, backoff=AT_ONCE), CircuitBreaker(), listener=heard.append)
    def charge() -> None:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        charge()
    assert isinstance(heard[0], Retried)
    assert heard[0].function.endswith("charge")


async def test_a_decorated_function_looks_like_before(clock: VirtualClock) -> None:
    @ResiliencePipeline(Timeout(1), CircuitBreaker())
    async def charge(amount: int, *, key: str = "k") -> int:
        """Charges."""
        return amount

    assert inspect.iscoroutinefunction(charge)
    assert (charge.__name__, charge.__doc__) == ("charge", "Charges.")
    assert list(inspect.signature(charge).parameters) == ["amount", "key"]
    assert await charge(3, key="x") == 3


async def test_whatever_gives_a_coroutine_is_treated_as_async(clock: VirtualClock) -> None:
    class Client:
        async def __call__(self) -> None:
            raise ConnectionError

        async def get(self) -> None:
            raise ConnectionError

    breaker = CircuitBreaker(failure_threshold=3)
    client = Client()
    for function in (client, client.get, functools.partial(functools.partial(client.get))):
        with pytest.raises(ConnectionError):
            await breaker.call(function)
    assert breaker.snapshot().state == "open"


def test_methods_are_decorated_like_functions(clock: VirtualClock) -> None:
    breaker = CircuitBreaker()

    class Client:
        @breaker
        def get(self, path: str) -> str:
            return path

        @staticmethod
        @breaker
        def ping() -> str:
            return "pong"

    assert (Client().get("/"), Client.ping()) == ("/", "pong")


@pytest.mark.parametrize("function", [staticmethod(len), classmethod(len), Script, 3, lambda: (yield)])
def test_what_cannot_be_wrapped_is_refused(function: object) -> None:
    with pytest.raises(TypeError, match=r"^CircuitBreaker: "):
        CircuitBreaker()(function)  # type: ignore[type-var]


def test_an_error_passes_with_no_cycle_that_keeps_its_frames(way: Way) -> None:
    import gc
    import weakref

    class Big:
        pass

    def charge() -> None:
        big = Big()
        seen.append(weakref.ref(big))
        raise ConnectionError

    async def charge_async() -> None:
        charge()

    seen: list[weakref.ref[Big]] = []
    retry = Retry(on=ConnectionError, attempts=3, backoff=AT_ONCE)
    gc.disable()
    try:
        if way.is_async:
            way.runner.run(_swallow_async(retry, charge_async))
        else:
            _swallow(retry, charge)
        assert [reference() for reference in seen] == [None, None, None]
    finally:
        gc.enable()


def _swallow(retry: Retry, function: Function) -> None:
    try:
        retry.call(function)
    except ConnectionError:
        pass


async def _swallow_async(retry: Retry, function: Function) -> None:
    try:
        await retry.call(function)
    except ConnectionError:
        pass
    await asyncio.sleep(0)


@pytest.mark.parametrize("own", [Bulkhead(1), RateLimiter(1, 3600)])
async def test_what_a_policy_within_refuses_says_nothing_about_the_callee(own: Policy) -> None:
    breaker = CircuitBreaker(failure_threshold=1)
    calls = ResiliencePipeline(breaker, own)
    gate = asyncio.Event()

    async def call() -> None:
        await gate.wait()

    with virtual_time():
        first = asyncio.ensure_future(calls.call(call))
        await asyncio.sleep(0)
        for _ in range(3):
            with pytest.raises((BulkheadFull, RateLimited)):
                await calls.call(call)
        assert breaker.snapshot().state == "closed"
        gate.set()
        await first


def test_a_breaker_that_names_a_refusal_counts_it() -> None:
    breaker = CircuitBreaker(failure_threshold=1, on=BulkheadFull)
    bulkhead = Bulkhead(1)
    with virtual_time(), bulkhead:
        with pytest.raises(BulkheadFull):
            ResiliencePipeline(breaker, bulkhead).call(int)
        assert breaker.snapshot().state == "open"
