"""GET /products/{product_id}: one product."""

from sqlalchemy import select

from insula import UnitOfWork
from shop.catalog.contract import GetProduct, Product, ProductNotFound
from shop.catalog.module import catalog, products
from shop.catalog.records import product_of


@catalog.get("/products/{product_id}")
@catalog.handle(GetProduct)
async def get_product(query: GetProduct, work: UnitOfWork) -> Product:
    """The product with that id."""
    rows = await work.execute(select(products).where(products.c.product_id == query.product_id))
    found = rows.first()
    if found is None:
        raise ProductNotFound(product_id=query.product_id)
    return product_of(found)
