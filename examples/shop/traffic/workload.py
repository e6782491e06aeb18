"""What the traffic does: the goods, the customers, and the orders they place."""

from dataclasses import dataclass

from shop.catalog.contract import AddProduct
from shop.customers.contract import RegisterCustomer
from shop.kernel import ProductId
from shop.orders.contract import PlaceOrder


@dataclass(frozen=True, slots=True)
class Purchase:
    """An order to place. `reference` is the client's own name for it, the same at every attempt."""

    reference: str
    order: PlaceOrder


@dataclass(frozen=True, slots=True)
class Workload:
    """Everything to seed and to order. `stock` is units by product, before any factor."""

    products: tuple[AddProduct, ...]
    customers: tuple[RegisterCustomer, ...]
    stock: dict[ProductId, int]
    purchases: tuple[Purchase, ...]
