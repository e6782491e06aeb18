"""Charging and giving back, whatever comes first, and whatever breaks in between."""

from itertools import permutations
from typing import Any

import pytest

from insula import Money
from insula.testing import Scenario
from shop.billing.contract import PaymentCharged, PaymentDeclined, PaymentRefunded
from shop.billing.module import billing
from shop.billing.payment_gateway import PaymentGateway
from shop.inventory.contract import StockReserved

FIFTY = Money("50.00", "EUR")


def alone(gateway: Any) -> Scenario:
    return Scenario(billing, ports={PaymentGateway: gateway})


async def tell(scenario: Scenario, given: Any, *names: str) -> None:
    events = {
        "placed": (given.placed(), "orders"),
        "reserved": (StockReserved(order_id=given.order_id), "inventory"),
        "cancelled": (given.cancelled(), "orders"),
    }
    for name in names:
        event, source = events[name]
        await scenario.deliver(event, source=source)


@pytest.mark.parametrize("turn", [("placed", "reserved"), ("reserved", "placed")])
async def test_a_placed_and_reserved_order_is_charged_its_exact_total(
    given: Any, gateway: Any, turn: tuple[str, ...]
) -> None:
    async with alone(gateway) as scenario:
        await tell(scenario, given, *turn)
        assert list(gateway.charged.values()) == [FIFTY]
        assert scenario.published == [PaymentCharged(order_id=given.order_id, amount=FIFTY)]


async def test_an_order_without_stock_is_not_charged(given: Any, gateway: Any) -> None:
    async with alone(gateway) as scenario:
        await tell(scenario, given, "placed")
        assert gateway.calls == []
        assert scenario.published == []


async def test_a_decline_is_published_with_its_reason(given: Any, gateway: Any) -> None:
    gateway.refusal = "no credit"
    async with alone(gateway) as scenario:
        await tell(scenario, given, "placed", "reserved")
        assert scenario.published == [PaymentDeclined(order_id=given.order_id, reason="no credit")]
        await tell(scenario, given, "cancelled")
        assert [call for call, _ in gateway.calls] == ["charge"]


async def test_a_charge_is_given_back_when_the_order_is_cancelled(given: Any, gateway: Any) -> None:
    async with alone(gateway) as scenario:
        await tell(scenario, given, "placed", "reserved", "cancelled")
        assert gateway.charged == {}
        assert scenario.published == [
            PaymentCharged(order_id=given.order_id, amount=FIFTY),
            PaymentRefunded(order_id=given.order_id, customer_id="ann", amount=FIFTY),
        ]


@pytest.mark.parametrize("turn", list(permutations(["placed", "reserved", "cancelled"])))
async def test_a_cancelled_order_keeps_no_money_in_whatever_order_things_are_heard(
    given: Any, gateway: Any, turn: tuple[str, ...]
) -> None:
    async with alone(gateway) as scenario:
        await tell(scenario, given, *turn, *turn)
        assert gateway.charged == {}
        refunds = [event for event in scenario.published if isinstance(event, PaymentRefunded)]
        charges = [event for event in scenario.published if isinstance(event, PaymentCharged)]
        assert len(refunds) == len(charges) == (1 if turn[-1] == "cancelled" else 0)


async def test_a_charge_that_was_not_noted_is_repeated_under_the_same_key(given: Any, gateway: Any) -> None:
    async def fall_over() -> None:
        raise RuntimeError("charged, but we fell over")

    gateway.after_charge = fall_over
    async with alone(gateway) as scenario:
        await tell(scenario, given, "placed", "reserved")
        assert scenario.published == []
        await scenario.settle()
        assert scenario.published == [PaymentCharged(order_id=given.order_id, amount=FIFTY)]
        assert len(gateway.calls) == 2
        assert len({key for _, key in gateway.calls}) == 1


async def test_a_charge_that_was_not_noted_before_the_cancellation_is_reversed(given: Any, gateway: Any) -> None:
    async def fall_over() -> None:
        raise RuntimeError("charged, but we fell over")

    gateway.after_charge = fall_over
    async with alone(gateway) as scenario:
        await tell(scenario, given, "placed", "reserved", "cancelled")
        await scenario.settle()
        assert [call for call, _ in gateway.calls] == ["charge", "reverse"]
        assert gateway.charged == {}
        assert scenario.published == []


async def test_a_cancellation_during_the_charge_is_noticed(given: Any, gateway: Any) -> None:
    async with alone(gateway) as scenario:

        async def cancel_meanwhile() -> None:
            await tell(scenario, given, "cancelled")

        gateway.after_charge = cancel_meanwhile
        await tell(scenario, given, "placed", "reserved")
        await scenario.settle()
        assert gateway.charged == {}
        assert scenario.published == []
        assert [call for call, _ in gateway.calls] == ["charge", "reverse"]
