"""What other modules and clients may know of the mails that were sent."""

from dataclasses import dataclass
from enum import StrEnum

from insula import Query
from shop.kernel import OrderId


class Occasion(StrEnum):
    """What a customer is told about an order, each at most once."""

    INVOICED = "invoiced"
    SHIPPED = "shipped"
    CANCELLED = "cancelled"
    REFUNDED = "refunded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """A letter to a customer."""

    occasion: Occasion
    recipient: str
    subject: str
    body: str


class ListMails(Query[tuple[Mail, ...]]):
    """What was sent about an order."""

    order_id: OrderId
