"""A payment gateway that moves no money and declines by rule: for development, tests and demonstrations."""

from pathlib import Path

from insula import Money
from insula.rules import RuleSet
from shop.billing.payment_gateway import Charged, Declined
from shop.kernel import CustomerId

DECLINES = RuleSet.load(Path(__file__).with_name("declines.toml"))


class LocalGateway:
    """Declines what one of its rules is true for.

    Parameters: `declines`, which are asked about `customer_id`, `amount` and `currency`; default those of the file
    beside this one. They are read once: the same key must get the same answer.
    """

    def __init__(self, declines: RuleSet = DECLINES) -> None:
        self._declines = declines

    async def charge(self, customer_id: CustomerId, amount: Money, key: str) -> Charged | Declined:
        """The answer follows from customer and amount alone, so the same key always gets the same one."""
        about = {"customer_id": customer_id, "amount": amount.amount, "currency": amount.currency}
        against = self._declines.decide(about).matching
        return Declined(f"{amount} of customer {customer_id}: {', '.join(against)}") if against else Charged()

    async def reverse(self, key: str) -> None:
        """Nothing was moved, nothing is to be moved back."""
