"""POST /orders: price the lines, remember the order, tell whoever listens."""

from decimal import Decimal

from insula import Ask, Clock, Context, UnitOfWork
from shop.catalog.contract import GetPrices
from shop.customers.contract import Customer, CustomerNotFound, GetCustomer
from shop.kernel import CustomerId, OrderId
from shop.orders.contract import InvalidOrder, Line, OrderPlaced, PlaceOrder, UnknownCustomer
from shop.orders.discount import Loyalty
from shop.orders.domain import Order
from shop.orders.module import orders
from shop.orders.pricing import lines_for
from shop.orders.records import add_order

MOST_LINES = 100
LARGEST_QUANTITY = 100_000
HIGHEST_DISCOUNT = Decimal("0.5")
FINEST_DISCOUNT = Decimal("0.0001")


@orders.post("/orders", status=201)
@orders.handle(PlaceOrder)
async def place_order(
    command: PlaceOrder, ask: Ask, context: Context, clock: Clock, loyalty: Loyalty, work: UnitOfWork
) -> OrderId:
    """Ask first, decide purely, then store order and event in one commit."""
    check(command)
    customer = await ask_for_customer(command.customer_id, ask)
    product_ids = tuple(dict.fromkeys(line.product_id for line in command.lines))
    prices = await ask(GetPrices(product_ids=product_ids))
    order = Order.place(
        OrderId(context.new_id()),
        customer_id=customer.customer_id,
        lines=lines_for(customer.customer_id, command.lines),
        prices=prices,
        ship_to=command.ship_to or customer.address,
        placed_at=clock.now(),
    )
    order = loyalty.applied(order)
    await add_order(order, work)
    work.publish(
        OrderPlaced(order_id=order.order_id, customer_id=order.customer_id, lines=order.lines, total=order.total)
    )
    return order.order_id


async def ask_for_customer(customer_id: CustomerId, ask: Ask) -> Customer:
    """The customer, or our own way of saying that there is none."""
    try:
        return await ask(GetCustomer(customer_id=customer_id))
    except CustomerNotFound:
        raise UnknownCustomer(customer_id=customer_id) from None


def check(command: PlaceOrder) -> None:
    """Refuse what no order may hold, before anybody is asked."""
    if not 0 < len(command.lines) <= MOST_LINES:
        raise InvalidOrder(reason=f"lines: 1 to {MOST_LINES} are expected, not {len(command.lines)}")
    for position, line in enumerate(command.lines):
        check_line(line, f"lines[{position}]")


def check_line(line: Line, place: str) -> None:
    """Refuse a quantity or a discount out of range."""
    if not 1 <= line.quantity <= LARGEST_QUANTITY:
        raise InvalidOrder(reason=f"{place}.quantity: 1 to {LARGEST_QUANTITY} is expected, not {line.quantity}")
    discount = line.discount
    # NaN cannot be compared, and a long tail of digits cannot be kept.
    if not discount.is_finite() or not 0 <= discount <= HIGHEST_DISCOUNT or discount % FINEST_DISCOUNT:
        raise InvalidOrder(
            reason=f"{place}.discount: 0 to {HIGHEST_DISCOUNT} in steps of {FINEST_DISCOUNT}, not {discount}"
        )
