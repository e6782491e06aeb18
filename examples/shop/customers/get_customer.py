"""GET /customers/{customer_id}: one customer."""

from insula import UnitOfWork
from shop.customers.contract import Customer, CustomerNotFound, GetCustomer
from shop.customers.module import customers
from shop.customers.records import find_customer


@customers.get("/customers/{customer_id}")
@customers.handle(GetCustomer)
async def get_customer(query: GetCustomer, work: UnitOfWork) -> Customer:
    """The customer with that id."""
    found = await find_customer(query.customer_id, work)
    if found is None:
        raise CustomerNotFound(customer_id=query.customer_id)
    return found
