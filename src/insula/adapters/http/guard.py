"""What stands around every exchange with a neighbour: retries, and for each process a circuit and a bound."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol, TypeVar, cast
from urllib.parse import urlsplit

from insula.edge.remote import remaining_header
from insula.kernel.clock import Clock
from insula.kernel.deadline import ambient_deadline, leave_deadline
from insula.kernel.errors import DeadlineExceeded, Unavailable
from insula.resilience import Bulkhead, CircuitBreaker, ExponentialBackoff, ResiliencePipeline, Retry, RetryBudget

_WORTH_TELLING_SECONDS = 0.001


class Unreachable(Unavailable):
    """No connection to the process came about, or it broke, or something between answered instead."""


class NoAnswer(DeadlineExceeded):
    """The process was reached and did not answer in time; what it was asked for may have happened."""


class Sendable(Protocol):
    """What a guard has to know of a request, a frozen dataclass: its message id lets it be sent again."""

    @property
    def url(self) -> str:
        """Where it goes."""

    @property
    def headers(self) -> Mapping[str, str]:
        """They tell the other end how long its caller waits."""

    @property
    def timeout_seconds(self) -> float:
        """How long to wait for the answer."""


Q = TypeVar("Q", bound=Sendable)
A = TypeVar("A")


def guarded(
    exchange: Callable[[Q], Awaitable[A]],
    clock: Clock,
    *,
    attempts: int = 3,
    failure_threshold: int = 5,
    open_seconds: float = 5.0,
    places: int = 100,
    waiting: int = 100,
) -> Callable[[Q], Awaitable[A]]:
    """An exchange that is tried again, fails at once while a process is down, and that a slow one does not hold up.

    All within the request's `timeout_seconds` and the ambient deadline: each attempt has what is left of it.

    Parameters: `exchange`, which raises `Unreachable` and `NoAnswer` itself; every other error was answered, and so is
    never sent again nor counted. `attempts` at one that is `Unreachable` (default 3, as far as a `RetryBudget` of a
    fifth of the calls goes); `failure_threshold`, how many in a row of either open the circuit of a process (default 5)
    for `open_seconds` (default 5); `places`, how many exchanges with a process may run at once (default 100), and
    `waiting`, how many more may wait (default 100).
    Raises `Unavailable` in the words of who refused: `CircuitOpen`, with `retry_after`, or `BulkheadFull`.
    """
    retry = Retry(
        on=Unreachable, attempts=attempts, backoff=ExponentialBackoff(0.05, longest_seconds=1), budget=RetryBudget(),
        name="calls to neighbours",
    )  # fmt: skip
    processes: dict[str, Callable[[Q], Awaitable[A]]] = {}  # as many as there are addresses

    async def attempt(request: Q) -> A:
        return await exchange(_in_time(request, ambient_deadline.get() - clock.monotonic()))

    async def send(request: Q) -> A:
        process = process_of(request.url)
        guard = processes.get(process)
        if guard is None:
            name = f"calls to {process}"
            breaker = CircuitBreaker(failure_threshold, open_seconds, on=(Unreachable, NoAnswer), name=name)
            guard = processes[process] = ResiliencePipeline(retry, breaker, Bulkhead(places, waiting, name=name))(
                attempt
            )
        until = min(clock.monotonic() + request.timeout_seconds, ambient_deadline.get())
        token = ambient_deadline.set(until)
        try:
            return await guard(request)
        finally:
            leave_deadline(token)

    return send


def process_of(url: str) -> str:
    """The process that serves a URL: its scheme, host and port."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _in_time(request: Q, left: float) -> Q:
    """The request with as much time as is left."""
    if left > request.timeout_seconds - _WORTH_TELLING_SECONDS:
        return request
    headers = {**request.headers, **remaining_header(left)}
    return cast("Q", replace(cast("Any", request), timeout_seconds=left, headers=headers))
