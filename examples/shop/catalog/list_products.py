"""GET /products: what is for sale."""

from sqlalchemy import select

from insula import UnitOfWork
from shop.catalog.contract import ListProducts, Product
from shop.catalog.module import catalog, products
from shop.catalog.records import product_of

LARGEST_PAGE = 1000


@catalog.get("/products")
@catalog.handle(ListProducts)
async def list_products(query: ListProducts, work: UnitOfWork) -> tuple[Product, ...]:
    """A page of products by id."""
    page = (
        select(products)
        .where(products.c.product_id > query.after)
        .order_by(products.c.product_id)
        .limit(min(max(query.limit, 1), LARGEST_PAGE))
    )
    return tuple(product_of(row) for row in await work.execute(page))
