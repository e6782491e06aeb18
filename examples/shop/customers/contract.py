"""What other modules and clients may know of customers."""

from dataclasses import dataclass

from insula import Command, Query, Rejection
from insula.messages import FrozenMap
from shop.kernel import Address, CustomerId


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """Somebody who may order."""

    customer_id: CustomerId
    name: str
    email: str
    address: Address


class CustomerNotFound(Rejection, status=404):
    customer_id: CustomerId


class CustomerDiffers(Rejection):
    """The id belongs to another customer already."""

    customer_id: CustomerId


class InvalidCustomer(Rejection, status=422):
    reason: str


class RegisterCustomer(Command[None], rejects=(InvalidCustomer, CustomerDiffers)):
    """Let a customer order; the same customer again is harmless."""

    customer_id: CustomerId
    name: str
    email: str
    address: Address


class GetCustomer(Query[Customer], rejects=(CustomerNotFound,)):
    customer_id: CustomerId


class GetCustomerNames(Query[FrozenMap[CustomerId, str]]):
    """The names of many customers at once; one that is not registered is missing from the answer."""

    customer_ids: tuple[CustomerId, ...]
