"""Fakes and givens that the tests of the shop share."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest

from insula import Money
from insula.testing import Scenario
from shop.billing.payment_gateway import Charged, Declined
from shop.catalog.contract import AddProduct
from shop.customers.contract import Customer, RegisterCustomer
from shop.inventory.contract import ReceiveStock
from shop.kernel import Address, CustomerId, OrderId, ProductId
from shop.notifications.contract import Mail
from shop.orders.contract import CancellationReason as Reason
from shop.orders.contract import OrderCancelled, OrderConfirmed, OrderPlaced, PricedLine
from shop.orders.domain import Line, price_line

ADDRESS = Address(name="Ann Lee", street="Rue du Marché 7", city="Lyon", country="France", postal_code="69004")
NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


class FakeGateway:
    """A payment gateway with a ledger: what is charged under which key, and every call in order."""

    def __init__(self) -> None:
        self.charged: dict[str, Money] = {}
        self.reversed: set[str] = set()
        self.calls: list[tuple[str, str]] = []
        self.refusal: str | None = None
        self.after_charge: Callable[[], Awaitable[None]] | None = None

    async def charge(self, customer_id: CustomerId, amount: Money, key: str) -> Charged | Declined:
        self.calls.append(("charge", key))
        if self.refusal is not None:
            return Declined(self.refusal)
        if key not in self.reversed:
            self.charged[key] = amount
        if self.after_charge is not None:
            interruption, self.after_charge = self.after_charge, None
            await interruption()
        return Charged()

    async def reverse(self, key: str) -> None:
        self.calls.append(("reverse", key))
        self.reversed.add(key)
        self.charged.pop(key, None)


class FakeMailSender:
    """Keeps what was sent, once a key."""

    def __init__(self) -> None:
        self.sent: dict[str, Mail] = {}

    async def send(self, mail: Mail, key: str) -> None:
        self.sent[key] = mail


class Given:
    """What tests begin with."""

    order_id = OrderId("order-1")
    customer_id = CustomerId("ann")
    address = ADDRESS
    noon = NOON
    customer = Customer(customer_id=customer_id, name="Ann Lee", email="ann@customers.example", address=ADDRESS)

    def line(
        self, product_id: str = "tea", quantity: int = 4, price: str = "12.50", currency: str = "EUR"
    ) -> PricedLine:
        return price_line(Line(product_id=ProductId(product_id), quantity=quantity), Money(price, currency))

    def placed(self, *lines: PricedLine) -> OrderPlaced:
        lines = lines or (self.line(),)
        return OrderPlaced(order_id=self.order_id, customer_id=self.customer_id, lines=lines, total=total_of(lines))

    def confirmed(self, *lines: PricedLine) -> OrderConfirmed:
        lines = lines or (self.line(),)
        return OrderConfirmed(
            order_id=self.order_id, customer_id=self.customer_id, lines=lines, total=total_of(lines), ship_to=ADDRESS
        )

    def cancelled(self, reason: Reason = Reason.BY_CUSTOMER, detail: str = "") -> OrderCancelled:
        return OrderCancelled(order_id=self.order_id, customer_id=self.customer_id, reason=reason, detail=detail)

    async def a_shop(self, scenario: Scenario, *, units: int = 10, price: str = "12.50") -> None:
        """Ann may order tea, of which there are so many units."""
        await scenario.call(AddProduct(product_id=ProductId("tea"), name="Tea", price=Money(price, "EUR")))
        customer = self.customer
        await scenario.call(
            RegisterCustomer(
                customer_id=customer.customer_id, name=customer.name, email=customer.email, address=customer.address
            )
        )
        await scenario.call(ReceiveStock(receipt_id="receipt-1", product_id=ProductId("tea"), quantity=units))


def total_of(lines: tuple[PricedLine, ...]) -> Money:
    return Money.total((line.total for line in lines), lines[0].total.currency)


@pytest.fixture(scope="session")
def given() -> Given:
    return Given()


@pytest.fixture
def gateway() -> FakeGateway:
    return FakeGateway()


@pytest.fixture
def mail_sender() -> FakeMailSender:
    return FakeMailSender()
