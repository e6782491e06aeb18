"""The port to whoever moves the money."""

from dataclasses import dataclass
from typing import Protocol

from insula import Money
from shop.kernel import CustomerId


@dataclass(frozen=True, slots=True)
class Charged:
    """The money is ours."""


@dataclass(frozen=True, slots=True)
class Declined:
    """The customer's money is not to be had, and why."""

    reason: str


class PaymentGateway(Protocol):
    """Moves money outside our database: every call carries a key, and the same key moves it once.

    Both raise what they like when the gateway cannot be reached; the caller tries again with the same key.
    """

    async def charge(self, customer_id: CustomerId, amount: Money, key: str) -> Charged | Declined:
        """Take the amount from the customer; the same key gives the same answer again."""
        ...

    async def reverse(self, key: str) -> None:
        """See to it that nothing is charged under this key: give back what was, refuse what may come."""
        ...
