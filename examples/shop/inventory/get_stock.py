"""GET /stock/{product_id}: how much there is."""

from sqlalchemy import select

from insula import UnitOfWork
from shop.inventory.contract import GetStock, StockLevel, StockNotFound
from shop.inventory.module import inventory, stock


@inventory.get("/stock/{product_id}")
@inventory.handle(GetStock)
async def get_stock(query: GetStock, work: UnitOfWork) -> StockLevel:
    """The product's units, wherever they are."""
    rows = await work.execute(select(stock).where(stock.c.product_id == query.product_id))
    level = rows.first()
    if level is None:
        raise StockNotFound(product_id=query.product_id)
    return StockLevel(
        product_id=level.product_id,
        received=level.available + level.reserved + level.shipped,
        available=level.available,
        reserved=level.reserved,
        shipped=level.shipped,
    )
