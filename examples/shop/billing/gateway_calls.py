"""How the payment gateway is called: not for long, again after a failure, and not at all while it is down.

Each call carries a key under which the gateway does a thing once, so that it may be made again. What fails all the same
is parked by the framework and tried again later, in the order of its customer.
"""

from insula import Money
from insula.resilience import CircuitBreaker, ExponentialBackoff, ResiliencePipeline, Retry, Timeout
from shop.billing.payment_gateway import Charged, Declined, PaymentGateway
from shop.kernel import CustomerId

gateway_calls = ResiliencePipeline(
    Timeout(seconds=5, name="payment gateway timeout"),
    Retry(
        on=(ConnectionError, TimeoutError),
        attempts=3,
        backoff=ExponentialBackoff(first_seconds=0.2, longest_seconds=1),
        name="payment gateway retry",
    ),
    CircuitBreaker(failure_threshold=5, open_seconds=10, name="payment gateway breaker"),
    # Within the breaker: what the timeout around all attempts cancels says nothing about the gateway.
    Timeout(seconds=1.4, name="payment gateway attempt"),
    name="payment gateway",
)


@gateway_calls
async def charge(gateway: PaymentGateway, customer_id: CustomerId, amount: Money, key: str) -> Charged | Declined:
    """Take the amount from the customer."""
    return await gateway.charge(customer_id, amount, key)


@gateway_calls
async def reverse(gateway: PaymentGateway, key: str) -> None:
    """See to it that nothing is charged under this key."""
    await gateway.reverse(key)
