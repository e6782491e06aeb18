"""Blocks of policies need not end in the order, or in the context, in which they began."""

from __future__ import annotations

from collections.abc import Iterator
from contextvars import copy_context
from weakref import ref

import pytest

from insula.resilience import CircuitBreaker
from insula.resilience.policy import Entered
from insula.testing import VirtualClock


def test_blocks_of_generators_may_end_in_any_order(clock: VirtualClock) -> None:
    breakers = CircuitBreaker(failure_threshold=1), CircuitBreaker(failure_threshold=1)

    def block(breaker: CircuitBreaker) -> Iterator[None]:
        with breaker:
            yield
            raise ConnectionError

    first, second = (block(breaker) for breaker in breakers)
    next(first)
    next(second)
    for generator in (first, second):
        with pytest.raises(ConnectionError):
            next(generator)
    assert [breaker.snapshot().state for breaker in breakers] == ["open", "open"]


def test_blocks_that_ended_elsewhere_are_not_remembered(clock: VirtualClock) -> None:
    breaker = CircuitBreaker(listener=print)
    blocks = []

    class Value:
        pass

    def life() -> None:
        for _ in range(3):
            value = Value()
            blocks.append(ref(value))
            Entered.push(breaker, value)
            del value
            copy_context().run(Entered.pop, breaker)
        Entered.push(breaker, None)

    life()
    assert [block() for block in blocks] == [None] * 3
    assert Entered.pop(breaker) is None
