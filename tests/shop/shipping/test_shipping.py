"""Shipping alone."""

from typing import Any

import pytest

from insula.testing import Scenario
from shop.shipping.contract import GetShipment, ShipmentBooked, ShipmentNotFound
from shop.shipping.module import shipments, shipping


async def test_a_confirmed_order_gets_one_shipment_to_the_agreed_address(given: Any) -> None:
    async with Scenario(shipping) as scenario:
        order = given.confirmed(given.line("tea", 4), given.line("figs", 2))
        await scenario.deliver(order, source="orders")
        await scenario.deliver(order, source="orders")
        shipment = await scenario.call(GetShipment(order_id=given.order_id))
        assert (shipment.number, shipment.units, shipment.label) == ("SHP-0001", 6, given.address.label())
        assert len(await scenario.rows(shipping, shipments.select())) == 1
        assert scenario.published == [ShipmentBooked(order_id=given.order_id, customer_id="ann", number="SHP-0001")]


async def test_an_order_that_is_not_confirmed_has_no_shipment(given: Any) -> None:
    async with Scenario(shipping) as scenario:
        await scenario.deliver(given.placed(), source="orders")
        with pytest.raises(ShipmentNotFound) as no:
            await scenario.call(GetShipment(order_id=given.order_id))
        assert no.value.status == 404
