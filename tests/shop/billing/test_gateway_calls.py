"""The payment gateway is called patiently, but neither for ever nor while it is down."""

from typing import Any

import pytest

from insula import Money
from insula.resilience import CircuitOpen, TimedOut, attempts_of
from insula.testing import VirtualClock, virtual_time
from shop.billing.gateway_calls import charge
from shop.billing.payment_gateway import Charged
from shop.kernel import CustomerId

FIFTY = Money("50.00", "EUR")
ANN = CustomerId("ann")


class Unreachable:
    """A gateway that cannot be reached for so many calls."""

    def __init__(self, times: int) -> None:
        self.left = times
        self.calls = 0

    async def charge(self, customer_id: CustomerId, amount: Money, key: str) -> Charged:
        self.calls += 1
        if self.left:
            self.left -= 1
            raise ConnectionError("no route to the gateway")
        return Charged()

    async def reverse(self, key: str) -> None:
        raise AssertionError("nobody asked for it")


async def attempt(gateway: Any, clock: VirtualClock) -> Any:
    """One charge, to its end, in virtual time."""
    return await clock.run(charge(gateway, ANN, FIFTY, "key"))


async def test_two_failures_then_success_is_one_charge() -> None:
    gateway = Unreachable(2)
    with virtual_time() as clock:
        assert await attempt(gateway, clock) == Charged()
    assert gateway.calls == 3


async def test_while_it_is_down_it_is_not_called_and_one_trial_finds_out_that_it_is_back() -> None:
    gateway = Unreachable(5)
    with virtual_time() as clock:
        with pytest.raises(ConnectionError) as refusal:
            await attempt(gateway, clock)
        assert len(attempts_of(refusal.value)) == 3
        with pytest.raises(CircuitOpen):
            await attempt(gateway, clock)
        assert gateway.calls == 5
        with pytest.raises(CircuitOpen):
            await attempt(gateway, clock)
        assert gateway.calls == 5
        clock.advance(10)
        assert await attempt(gateway, clock) == Charged()
        assert await attempt(gateway, clock) == Charged()
    assert gateway.calls == 7


async def test_a_gateway_that_never_answers_is_given_five_seconds_and_then_not_called() -> None:
    class Silent:
        async def charge(self, customer_id: CustomerId, amount: Money, key: str) -> Charged:
            await clock.sleep(3600)
            return Charged()

    with virtual_time() as clock:
        with pytest.raises(TimedOut):
            await attempt(Silent(), clock)
        assert 3 * 1.4 < clock.monotonic() <= 5
        with pytest.raises(CircuitOpen):
            await attempt(Silent(), clock)
