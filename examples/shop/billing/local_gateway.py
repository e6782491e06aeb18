"""A payment gateway that moves no money and declines by rule: for development, tests and demonstrations."""

from decimal import Decimal

from insula import Money
from shop.billing.payment_gateway import Charged, Declined
from shop.kernel import CustomerId

LIMIT = Decimal(5000)
CUSTOMERS_WITHOUT_CREDIT = frozenset({"NO-CREDIT"})


class LocalGateway:
    """Declines amounts above a limit, and customers on a list.

    Parameters: `limit`, in whatever currency is charged; `without_credit`, ids of customers always declined.
    """

    def __init__(self, limit: Decimal = LIMIT, without_credit: frozenset[str] = CUSTOMERS_WITHOUT_CREDIT) -> None:
        self._limit = limit
        self._without_credit = without_credit

    async def charge(self, customer_id: CustomerId, amount: Money, key: str) -> Charged | Declined:
        """The answer follows from customer and amount alone, so the same key always gets the same one."""
        if customer_id in self._without_credit:
            return Declined(f"customer {customer_id} has no credit")
        if amount.amount > self._limit:
            return Declined(f"{amount} is above the limit of {self._limit} {amount.currency}")
        return Charged()

    async def reverse(self, key: str) -> None:
        """Nothing was moved, nothing is to be moved back."""
