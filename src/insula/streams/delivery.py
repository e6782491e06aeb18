"""Items whose sender wants to hear that they were dealt with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Delivery(Protocol):
    """An item that is acknowledged once it was dealt with; one that never is will be delivered again."""

    async def ack(self) -> None:
        """It was dealt with."""


class Receipt:
    """What is owed to the sender of one item: settled once, when the item has left the end of the flow."""

    __slots__ = ("_delivery", "_settled")

    def __init__(self, delivery: Delivery, settled: Callable[[], None]) -> None:
        self._delivery = delivery
        self._settled = settled

    async def settle(self) -> None:
        """Acknowledge, and make room for one more in flight."""
        await self._delivery.ack()
        self._settled()


Element = tuple[T, tuple[Receipt, ...]]
"""What goes from stage to stage: a value, and the receipts of all items that went into it."""


async def settle(element: Element[Any]) -> None:
    """Acknowledge all that went into the element."""
    for receipt in element[1]:
        await receipt.settle()
