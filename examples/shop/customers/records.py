"""Customers as rows of the module's table."""

from sqlalchemy import bindparam, select

from insula import UnitOfWork
from shop.customers.contract import Customer
from shop.customers.module import registered
from shop.kernel import Address, CustomerId

FIND = select(registered).where(registered.c.customer_id == bindparam("customer_id"))


async def find_customer(customer_id: CustomerId, work: UnitOfWork) -> Customer | None:
    """The customer with that id, if there is one."""
    row = (await work.execute(FIND, {"customer_id": customer_id})).first()
    if row is None:
        return None
    address = Address(
        name=row.recipient,
        street=row.street,
        postal_code=row.postal_code,
        city=row.city,
        region=row.region,
        country=row.country,
    )
    return Customer(customer_id=row.customer_id, name=row.name, email=row.email, address=address)


def row_of(customer: Customer) -> dict[str, object]:
    """The customer as a row."""
    address = customer.address
    return {
        "customer_id": customer.customer_id,
        "name": customer.name,
        "email": customer.email,
        "recipient": address.name,
        "street": address.street,
        "postal_code": address.postal_code,
        "city": address.city,
        "region": address.region,
        "country": address.country,
    }
