"""POST /customers: let somebody order."""

from sqlalchemy import insert

from insula import UnitOfWork
from shop.customers.contract import Customer, CustomerDiffers, InvalidCustomer, RegisterCustomer
from shop.customers.module import customers, registered
from shop.customers.records import find_customer, row_of
from shop.kernel import is_identifier


@customers.post("/customers", status=201)
@customers.handle(RegisterCustomer)
async def register_customer(command: RegisterCustomer, work: UnitOfWork) -> None:
    """Remember the customer; refuse a second one under the same id."""
    check(command)
    customer = Customer(
        customer_id=command.customer_id,
        name=command.name,
        email=command.email,
        address=command.address,
    )
    known = await find_customer(customer.customer_id, work)
    if known is None:
        await work.execute(insert(registered), row_of(customer))
    elif known != customer:
        raise CustomerDiffers(customer_id=customer.customer_id)


def check(command: RegisterCustomer) -> None:
    """Refuse whom nothing can be sent to."""
    if not is_identifier(command.customer_id):
        raise InvalidCustomer(reason="customer_id: 1 to 64 printable characters are expected")
    if not command.name.strip():
        raise InvalidCustomer(reason="name: some text is expected")
    if not command.email.isprintable() or "@" not in command.email.strip("@"):
        raise InvalidCustomer(reason="email: an address such as ann@example.org is expected")
