"""An HTTP client that does not give up while the server is away."""

from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec

from insula.kernel import Clock, Randomness
from insula.messages import Message, encode

FIRST_DELAY_SECONDS = 0.05
LONGEST_DELAY_SECONDS = 2.0
TOO_MANY_REQUESTS = 429


class GaveUp(Exception):
    """The server did not answer for as long as we were patient."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said in the end, and how long that took from the first attempt on."""

    status: int
    value: Any
    seconds: float

    @property
    def accepted(self) -> bool:
        """Whether the server did what was asked."""
        return 200 <= self.status < 300


class ShopClient:
    """Sends requests, again and again with growing delay after lost connections, 5xx and 429.

    Parameters: `patience_seconds`, how long one request may fail, or the server be silent, until GaveUp; `chance`
    spreads the delays.
    """

    def __init__(
        self, session: aiohttp.ClientSession, clock: Clock, chance: Randomness, *, patience_seconds: float
    ) -> None:
        self._session = session
        self._clock = clock
        self._chance = chance
        self._patience_seconds = patience_seconds
        self._heard_at = clock.monotonic()
        self.retries = 0

    async def get(self, path: str) -> Answer:
        """Read something."""
        return await self._request("GET", path, None, {})

    async def post(self, path: str, message: Message, key: str) -> Answer:
        """Send a command; with the same key it works once, however often it is sent."""
        headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
        return await self._request("POST", path, encode(message), headers)

    async def _request(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        started = self._clock.monotonic()
        attempt = 0
        while True:
            wait_seconds = None
            try:
                async with self._session.request(method, path, data=body, headers=headers) as response:
                    content = await response.read()
                    if response.status < 500 and response.status != TOO_MANY_REQUESTS:
                        self._heard_at = self._clock.monotonic()
                        return Answer(response.status, value_of(content), self._heard_at - started)
                    failure = f"{response.status} {content[:200].decode(errors='replace')}"
                    wait_seconds = seconds_of(response.headers.get("Retry-After"))
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                failure = f"{type(error).__name__}: {error}"
            if self._clock.monotonic() - min(started, self._heard_at) > self._patience_seconds:
                raise GaveUp(f"{method} {path}: {failure}, after {attempt + 1} attempts")
            await self._clock.sleep(self._delay_seconds(attempt) if wait_seconds is None else wait_seconds)
            attempt += 1
            self.retries += 1

    def _delay_seconds(self, attempt: int) -> float:
        longest = min(LONGEST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2.0 ** min(attempt, 10))
        return longest * (0.5 + self._chance.random() / 2)


def value_of(content: bytes) -> Any:
    """The JSON in an answer; text where it is none."""
    try:
        return msgspec.json.decode(content) if content else None
    except msgspec.DecodeError:
        return content.decode(errors="replace")


def seconds_of(retry_after: str | None) -> float | None:
    """The seconds in a Retry-After header, at most our own longest delay; None without a usable one."""
    try:
        return None if retry_after is None else min(LONGEST_DELAY_SECONDS, max(0.0, float(retry_after)))
    except ValueError:
        return None
