"""The shop under everything that can go wrong.  insula simulate shop.simulation:survival"""

from sqlalchemy import func, select

from insula import Money
from insula.simulation import Client, ModuleSnapshot, Simulation, Snapshot, eventually, invariant, sometimes
from shop.audit.books import read_books
from shop.audit.invariants import audit
from shop.catalog.contract import AddProduct
from shop.customers.contract import RegisterCustomer
from shop.inventory.contract import ReceiveStock
from shop.inventory.module import receipts, stock
from shop.kernel import Address, CustomerId, ProductId
from shop.orders.contract import CancelOrder, Line, OrderCancelled, OrderConfirmed, PlaceOrder
from shop.system import shop

IN_STOCK = select(func.sum(stock.c.available + stock.c.reserved + stock.c.shipped))
RECEIVED = select(func.sum(receipts.c.quantity))
TEA, LAMP = ProductId("tea"), ProductId("lamp")
CUSTOMERS = ("ANN", "BOB", "NO-CREDIT")


async def open_the_shop(client: Client) -> None:
    """Three customers, one of whom nobody lends to; two products, of which there is too little for everybody."""
    address = Address(name="Somebody", street="1 Road", city="Town", country="UK")
    for customer in CUSTOMERS:
        await client.call(
            RegisterCustomer(customer_id=CustomerId(customer), name=customer, email="a@b.example", address=address)
        )
    for product, pounds, units in ((TEA, "12.50", 10), (LAMP, "40.00", 3)):
        await client.call(AddProduct(product_id=product, name=product, price=Money(pounds, "GBP")))
        await client.call(ReceiveStock(receipt_id=f"first {product}", product_id=product, quantity=units))


async def a_day_in_the_shop(client: Client) -> None:
    """Three customers order at the same time, and one thinks better of it."""
    await client.together(*(order(client, CustomerId(customer)) for customer in CUSTOMERS))


async def order(client: Client, customer: CustomerId) -> None:
    """Order something, sometimes call it off."""
    await client.sleep(client.random())
    lines = tuple(
        Line(product_id=product, quantity=client.choose((1, 2, 6))) for product in client.choose(((TEA,), (TEA, LAMP)))
    )
    order_id = await client.call(PlaceOrder(customer_id=customer, lines=lines))
    if client.random() < 0.3:
        await client.sleep(client.random())
        await client.call(CancelOrder(order_id=order_id))


@invariant(after_commit="inventory")
def stock_is_conserved(database: ModuleSnapshot) -> None:
    """Whatever came in is there, set aside or gone."""
    assert database.scalar(IN_STOCK) == database.scalar(RECEIVED)


@eventually
def the_books_balance(state: Snapshot) -> None:
    """Everything that `shop.audit` checks."""
    for finding in audit(read_books(state.inspection)):
        assert finding.holds, f"{finding.invariant}: {finding.violations[0]}"


@sometimes
def an_order_is_confirmed(state: Snapshot) -> bool:
    """All goes well."""
    return bool(state.events(OrderConfirmed))


@sometimes
def an_order_is_cancelled(state: Snapshot) -> bool:
    """Stock, money or the customer's mind is missing."""
    return bool(state.events(OrderCancelled))


survival = Simulation(
    shop,
    workload=a_day_in_the_shop,
    setup=open_the_shop,
    invariants=[stock_is_conserved, the_books_balance, an_order_is_confirmed, an_order_is_cancelled],
)
