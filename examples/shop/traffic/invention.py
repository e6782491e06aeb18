"""A made-up workload, the same for the same seed."""

from collections.abc import Sequence
from decimal import Decimal
from typing import TypeVar

from insula import Money
from insula.kernel import Randomness, SeededRandomness
from shop.catalog.contract import AddProduct
from shop.customers.contract import RegisterCustomer
from shop.kernel import Address, CustomerId, ProductId
from shop.orders.contract import Line, PlaceOrder
from shop.traffic.workload import Purchase, Workload

CURRENCY = "EUR"
SORTS = ("Smoked", "Salted", "Dried", "Roasted", "Wild", "Candied", "Pickled", "Fresh")
GOODS = ("Almonds", "Herring", "Crème", "Kräuter", "Jalapeños", "Olives", "Rødbeder", "Figs")
FIRST_NAMES = ("Ann", "José", "Zoë", "Łukasz", "Mary-Jane", "Søren", "Aoife", "Jürgen", "Chloé", "Dag")
LAST_NAMES = ("O'Brien", "Núñez", "Müller", "Smith", "Kowalski", "d'Alembert", "Ångström", "Lee", "Sørensen", "Roux")
CITIES = (("Köln", "Germany"), ("São Paulo", "Brazil"), ("Cork", "Ireland"), ("Århus", "Denmark"), ("Lyon", "France"))
DISCOUNTS = ("0", "0", "0", "0", "0.05", "0.1", "0.15", "0.2", "0.25")
CUSTOMERS = 90
WITHOUT_CREDIT = CustomerId("NO-CREDIT")
"""A customer whose payments the shop's local gateway declines; the same whatever the seed."""
STOCKED_PART = 0.06
"""Stock as a part of what all orders ask for: with the default factor of 10, six units in ten."""

Item = TypeVar("Item")


def invent(orders: int, seed: int) -> Workload:
    """So many orders of 64 products by 91 customers, one of whom has no credit.

    Parameters: `orders`, how many; `seed`, also part of every id, so that two seeds never disagree about a product.
    """
    chance = SeededRandomness(seed)
    products = tuple(
        invent_product(f"{seed}-{number:03d}", f"{sort} {good}", chance)
        for number, (sort, good) in enumerate((sort, good) for sort in SORTS for good in GOODS)
    )
    names = [f"{first} {last}" for first in FIRST_NAMES for last in LAST_NAMES]
    customers = (
        *(invent_customer(f"{seed}-C{number:03d}", names[number], chance) for number in range(CUSTOMERS)),
        invent_customer(WITHOUT_CREDIT, "Nemo Ohnegeld", SeededRandomness(0)),
    )
    purchases = tuple(invent_purchase(number, customers, products, chance) for number in range(orders))
    wanted: dict[ProductId, int] = {product.product_id: 0 for product in products}
    for purchase in purchases:
        for line in purchase.order.lines:
            wanted[line.product_id] += line.quantity
    stock = {product_id: max(1, round(units * STOCKED_PART)) for product_id, units in wanted.items()}
    return Workload(products=products, customers=customers, stock=stock, purchases=purchases)


def invent_product(product_id: str, name: str, chance: Randomness) -> AddProduct:
    """A product of 1 to 120 euros; most are cheap."""
    cents = 100 + round(11_900 * chance.random() ** 3)
    return AddProduct(product_id=ProductId(product_id), name=name, price=Money.of_minor(cents, CURRENCY))


def invent_customer(customer_id: str, name: str, chance: Randomness) -> RegisterCustomer:
    """A customer with an address."""
    city, country = choose(CITIES, chance)
    return RegisterCustomer(
        customer_id=CustomerId(customer_id),
        name=name,
        email=f"{customer_id.lower()}@customers.example",
        address=Address(name=name, street=f"Rue du Marché {1 + int(99 * chance.random())}", city=city, country=country),
    )


def invent_purchase(
    number: int, customers: Sequence[RegisterCustomer], products: Sequence[AddProduct], chance: Randomness
) -> Purchase:
    """An order of one to six different products."""
    chosen = {choose(products, chance).product_id for _ in range(1 + int(6 * chance.random()))}
    lines = tuple(
        Line(
            product_id=product_id,
            quantity=1 + int(40 * chance.random() ** 2),
            discount=Decimal(choose(DISCOUNTS, chance)),
        )
        for product_id in sorted(chosen)
    )
    customer = choose(customers, chance)
    return Purchase(f"{number:06d}", PlaceOrder(customer_id=customer.customer_id, lines=lines))


def choose(items: Sequence[Item], chance: Randomness) -> Item:
    """One of the items, each as likely."""
    return items[int(len(items) * chance.random())]
