"""Step 2: the call to the payment service, tried again and cut off where it fails too often."""

from __future__ import annotations

import os
from http.client import HTTPConnection

from insula.resilience import CircuitBreaker, ResiliencePipeline, Retry

# fmt: off
payments = ResiliencePipeline(
    Retry(on=(ConnectionError, TimeoutError), attempts=3),
    CircuitBreaker(failure_threshold=5, open_seconds=30),
)

@payments
def charge(key: str, cents: int) -> str:
    connection = HTTPConnection(os.environ.get("BOOKSHOP_PAYMENTS", "127.0.0.1:9000"), timeout=2)
    try:
        connection.request("POST", f"/charges/{cents}", headers={"Idempotency-Key": key})
        return connection.getresponse().read().decode()
    finally:
        connection.close()
# fmt: on
