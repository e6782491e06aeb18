"""Charge an order once its price is known and its stock reserved; give the money back if it is cancelled.

The three events come from two modules and in any order. Each handler adds its fact to the payment and does what the
facts then ask for. The gateway is called before the first write, with a key that is the same at every attempt.
"""

from collections.abc import Callable

from insula import Context, Event, UnitOfWork
from shop.billing.contract import PaymentCharged, PaymentDeclined, PaymentRefunded
from shop.billing.domain import Charge, Payment, Refund, Void
from shop.billing.gateway_calls import charge, reverse
from shop.billing.module import billing
from shop.billing.payment_gateway import Declined, PaymentGateway
from shop.billing.records import peek_payment, save_payment
from shop.inventory.contract import StockReserved
from shop.kernel import OrderId
from shop.orders.contract import OrderCancelled, OrderPlaced


@billing.on(OrderPlaced)
async def note_price(event: OrderPlaced, gateway: PaymentGateway, context: Context, work: UnitOfWork) -> None:
    """The price is known."""
    await add_fact(
        event.order_id, lambda payment: payment.placed(event.customer_id, event.total), gateway, context, work
    )


@billing.on(StockReserved)
async def note_reservation(event: StockReserved, gateway: PaymentGateway, context: Context, work: UnitOfWork) -> None:
    """The stock is reserved."""
    await add_fact(event.order_id, Payment.reserved, gateway, context, work)


@billing.on(OrderCancelled)
async def note_cancellation(event: OrderCancelled, gateway: PaymentGateway, context: Context, work: UnitOfWork) -> None:
    """The order is cancelled."""
    await add_fact(event.order_id, Payment.cancelled, gateway, context, work)


async def add_fact(
    order_id: OrderId,
    fact: Callable[[Payment], Payment],
    gateway: PaymentGateway,
    context: Context,
    work: UnitOfWork,
) -> None:
    """Add the fact, tell the gateway what follows from it, then store and publish."""
    known = await peek_payment(order_id, work)
    payment, event = await settle(fact(known or Payment(order_id=order_id)), gateway, context)
    await save_payment(payment, known=known is not None, work=work)
    if event is not None:
        work.publish(event)


async def settle(payment: Payment, gateway: PaymentGateway, context: Context) -> tuple[Payment, Event | None]:
    """Do what the facts ask for: the payment afterwards, and what to publish."""
    key = context.idempotency_key("charge")
    match payment.next_step():
        case Charge(customer_id, amount):
            answer = await charge(gateway, customer_id, amount, key)
            if isinstance(answer, Declined):
                return payment.declined(), PaymentDeclined(order_id=payment.order_id, reason=answer.reason)
            return payment.charged(key), PaymentCharged(order_id=payment.order_id, amount=amount)
        case Refund(customer_id, amount, charge_key):
            await reverse(gateway, charge_key)
            refunded = PaymentRefunded(order_id=payment.order_id, customer_id=customer_id, amount=amount)
            return payment.reversed(), refunded
        case Void():
            await reverse(gateway, key)
            return payment.reversed(), None
        case None:
            return payment, None
