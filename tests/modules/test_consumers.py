"""Under which name a handler takes its messages."""

from __future__ import annotations

import pytest

from insula.kernel.errors import AssemblyError
from insula.messages import Command, Event
from insula.modules import Module, System, assemble


class PlaceOrder(Command[None]):
    pass


class OrderPlaced(Event):
    pass


def test_a_consumer_called_like_a_command_of_its_module_is_refused() -> None:
    orders = Module("orders")

    @orders.handle(PlaceOrder)
    async def place_order(command: PlaceOrder) -> None: ...

    async def tell(event: OrderPlaced) -> None: ...

    tell.__name__ = "PlaceOrder"
    orders.on(OrderPlaced)(tell)
    none: frozenset[type] = frozenset()
    with pytest.raises(AssemblyError, match=r"would share the inbox 'orders\.PlaceOrder'"):
        assemble(System("shop", orders), framework_ports=none, awaited_ports=none, blocking_ports=none)
