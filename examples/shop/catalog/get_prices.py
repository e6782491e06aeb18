"""What products cost: asked by other modules."""

from sqlalchemy import bindparam, select

from insula import Money, UnitOfWork
from insula.messages import FrozenMap
from shop.catalog.contract import GetPrices
from shop.catalog.module import catalog, products
from shop.kernel import ProductId

PRICES = select(products.c.product_id, products.c.price_minor, products.c.currency).where(
    products.c.product_id.in_(bindparam("products", expanding=True))
)


@catalog.handle(GetPrices)
async def get_prices(query: GetPrices, work: UnitOfWork) -> FrozenMap[ProductId, Money]:
    """The price of each named product that is for sale."""
    found = await work.execute(PRICES, {"products": query.product_ids})
    return FrozenMap({row.product_id: Money.of_minor(row.price_minor, row.currency) for row in found})
