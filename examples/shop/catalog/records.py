"""Products as rows of the catalog's table."""

from typing import Any

from sqlalchemy import Row

from insula import Money
from shop.catalog.contract import Product


def product_of(row: Row[Any]) -> Product:
    """The product in a row."""
    return Product(
        product_id=row.product_id,
        name=row.name,
        price=Money.of_minor(row.price_minor, row.currency),
        discontinued=row.discontinued,
    )


def row_of(product: Product) -> dict[str, object]:
    """The product as a row."""
    return {
        "product_id": product.product_id,
        "name": product.name,
        "price_minor": product.price.minor,
        "currency": product.price.currency,
        "discontinued": product.discontinued,
    }
