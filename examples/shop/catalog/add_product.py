"""POST /products: put a product on sale."""

from sqlalchemy import insert, select

from insula import Money, UnitOfWork
from shop.catalog.contract import AddProduct, InvalidProduct, Product, ProductDiffers
from shop.catalog.module import catalog, products
from shop.catalog.records import product_of, row_of
from shop.kernel import is_identifier

HIGHEST_PRICE = 1_000_000


@catalog.post("/products", status=201)
@catalog.handle(AddProduct)
async def add_product(command: AddProduct, work: UnitOfWork) -> None:
    """Remember the product; refuse a second one under its id."""
    check(command)
    product = Product(
        product_id=command.product_id,
        name=command.name,
        price=command.price,
        discontinued=command.discontinued,
    )
    rows = await work.execute(select(products).where(products.c.product_id == product.product_id))
    known = rows.first()
    if known is None:
        await work.execute(insert(products), row_of(product))
    elif product_of(known) != product:
        raise ProductDiffers(product_id=product.product_id)


def check(command: AddProduct) -> None:
    """Refuse what cannot be sold."""
    if not is_identifier(command.product_id):
        raise InvalidProduct(reason="product_id: 1 to 64 printable characters are expected")
    if not command.name.strip():
        raise InvalidProduct(reason="name: some text is expected")
    price = command.price
    if not Money.zero(price.currency) <= price <= Money(HIGHEST_PRICE, price.currency):
        raise InvalidProduct(reason=f"price: 0 to {HIGHEST_PRICE} is expected, not {price}")
