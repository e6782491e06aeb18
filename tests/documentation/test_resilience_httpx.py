"""Policies around httpx, as docs/resilience.md shows them; httpx itself is played."""

from __future__ import annotations

from typing import Any

import pytest

# fmt: off
from insula.resilience import Retry


def may_pass(error: Exception) -> bool:
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code in (429, 502, 503, 504)
    return isinstance(error, httpx.TransportError)

def asked_for(error: Exception) -> str | None:
    return error.response.headers.get("Retry-After") if isinstance(error, httpx.HTTPStatusError) else None

@Retry(on=may_pass, retry_after=asked_for)
async def prices(client: httpx.AsyncClient) -> str:
    response = await client.get("https://shop.example/prices")
    response.raise_for_status()                  # an answer that says no becomes an error, which policies see
    return response.text
# fmt: on


class httpx:  # noqa: N801 - what the recipe uses of it
    """Plays httpx."""

    class TransportError(Exception):
        """No answer came."""

    class HTTPStatusError(Exception):
        """An answer that says no."""

        def __init__(self, response: httpx.Response) -> None:
            super().__init__(f"{response.status_code}")
            self.response = response

    class Response:
        """An answer."""

        def __init__(self, status_code: int, **headers: str) -> None:
            self.status_code = status_code
            self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
            self.text = "12"

        def raise_for_status(self) -> None:
            if self.status_code >= 400:
                raise httpx.HTTPStatusError(self)

    class AsyncClient:
        """Plays outcomes, one a request."""

        def __init__(self, *outcomes: Any) -> None:
            self.outcomes = list(outcomes)

        async def get(self, url: str) -> httpx.Response:
            assert url == "https://shop.example/prices"
            outcome = self.outcomes.pop(0)
            if isinstance(outcome, Exception):
                raise outcome
            response: httpx.Response = outcome
            return response


async def test_what_a_busy_server_asks_for_is_waited(clock: Any) -> None:
    client = httpx.AsyncClient(httpx.Response(503, Retry_After="7"), httpx.TransportError(), httpx.Response(200))
    assert await clock.run(prices(client)) == "12"
    assert 7.0 <= clock.monotonic() <= 7.2


async def test_a_date_is_waited_for_too(clock: Any) -> None:
    client = httpx.AsyncClient(httpx.Response(429, Retry_After="Tue, 01 Jan 2030 00:00:09 GMT"), httpx.Response(200))
    await clock.run(prices(client))
    assert clock.monotonic() == 9.0


async def test_an_answer_that_will_not_change_is_not_asked_for_again(clock: Any) -> None:
    client = httpx.AsyncClient(httpx.Response(404), httpx.Response(200))
    with pytest.raises(httpx.HTTPStatusError, match="404"):
        await clock.run(prices(client))
    assert len(client.outcomes) == 1
