"""The shared kernel: the few values that every module of the shop means alike (with `insula.Money`).

Nothing else belongs here: a rule or a table is always some module's own.
"""

from dataclasses import dataclass
from typing import NewType

OrderId = NewType("OrderId", str)
ProductId = NewType("ProductId", str)
CustomerId = NewType("CustomerId", str)

IDENTIFIER_LIMIT = 64
"""Characters that a product, customer or receipt id may have."""


def is_identifier(text: str) -> bool:
    """Whether clients may choose `text` as an id: printable, without outer blanks, at most 64 characters."""
    return 0 < len(text) <= IDENTIFIER_LIMIT and text.isprintable() and text == text.strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where goods go."""

    name: str
    street: str
    city: str
    country: str
    region: str | None = None
    postal_code: str | None = None

    def label(self) -> tuple[str, ...]:
        """As written on a parcel, line by line."""
        place = " ".join(part for part in (self.postal_code, self.city, self.region) if part)
        return (self.name, self.street, place, self.country)
