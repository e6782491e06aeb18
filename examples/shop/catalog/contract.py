"""What other modules and clients may know of the catalog."""

from dataclasses import dataclass

from insula import Command, Money, Query, Rejection
from insula.messages import FrozenMap
from shop.kernel import ProductId


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """Something for sale. A discontinued product is sold while stocks last."""

    product_id: ProductId
    name: str
    price: Money
    discontinued: bool = False


class ProductNotFound(Rejection, status=404):
    product_id: ProductId


class ProductDiffers(Rejection):
    """The id belongs to another product already."""

    product_id: ProductId


class InvalidProduct(Rejection, status=422):
    reason: str


class AddProduct(Command[None], rejects=(InvalidProduct, ProductDiffers)):
    """Put a product on sale; the same product again is harmless."""

    product_id: ProductId
    name: str
    price: Money
    discontinued: bool = False


class GetProduct(Query[Product], rejects=(ProductNotFound,)):
    product_id: ProductId


class ListProducts(Query[tuple[Product, ...]]):
    """Products in the order of their ids, from the first id after `after`."""

    limit: int = 100
    after: ProductId = ProductId("")


class GetPrices(Query[FrozenMap[ProductId, Money]]):
    """What the named products cost; one that is not for sale is missing from the answer."""

    product_ids: tuple[ProductId, ...]
