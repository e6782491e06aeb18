"""Who is behind many ids, in one question: asked by modules that show lists."""

from sqlalchemy import select

from insula import UnitOfWork
from insula.messages import FrozenMap
from shop.customers.contract import GetCustomerNames
from shop.customers.module import customers, registered
from shop.kernel import CustomerId


@customers.handle(GetCustomerNames)
async def get_customer_names(query: GetCustomerNames, work: UnitOfWork) -> FrozenMap[CustomerId, str]:
    """The name of each customer that is registered."""
    names = select(registered.c.customer_id, registered.c.name).where(registered.c.customer_id.in_(query.customer_ids))
    return FrozenMap({row.customer_id: row.name for row in await work.execute(names)})
