"""The whole visit: wait for the shop, seed it, place every order, and see each one to its end."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from insula.kernel import Clock
from shop.inventory.contract import ReceiveStock
from shop.orders.contract import OrderStatus
from shop.traffic.client import Answer, GaveUp, ShopClient
from shop.traffic.workload import Purchase, Workload

FIRST_POLL_SECONDS = 0.05
LONGEST_POLL_SECONDS = 0.5
NOT_FOUND = 404

Item = TypeVar("Item")


class Progress(Protocol):
    """Whoever wants to know how far it has come."""

    def phase(self, name: str, total: int) -> None:
        """A phase of so many steps begins."""

    def step(self) -> None:
        """A step of the phase is done."""


@dataclass(slots=True)
class Fate:
    """What became of one purchase."""

    purchase: Purchase
    answer: Answer | None = None
    order_id: str = ""
    status: str = ""
    reason: str = ""
    failure: str = ""

    @property
    def ended(self) -> bool:
        """Whether the order is confirmed or cancelled."""
        return self.status in (OrderStatus.CONFIRMED, OrderStatus.CANCELLED)


@dataclass(slots=True)
class Visit:
    """All that happened. `seconds` is how long placing took."""

    fates: list[Fate] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    seconds: float = 0.0
    retries: int = 0


class Journey:
    """Runs a workload against a shop.

    Parameters: `name`, part of every idempotency key and receipt: with the same name and workload, the journey goes
    on where another one broke off; `in_flight`, requests at a time; `stock_factor`, stock received per unit of the
    workload's; `patience_seconds`, how long nothing may move before we give up waiting.
    """

    def __init__(
        self,
        client: ShopClient,
        clock: Clock,
        progress: Progress,
        *,
        name: str,
        in_flight: int,
        stock_factor: float,
        patience_seconds: float,
    ) -> None:
        self._client = client
        self._clock = clock
        self._progress = progress
        self._name = name
        self._in_flight = in_flight
        self._stock_factor = stock_factor
        self._patience_seconds = patience_seconds
        self._visit = Visit()

    async def run(self, workload: Workload) -> Visit:
        """Seed, order, wait. Never raises for what the shop does: it is all in the visit."""
        visit = self._visit
        visit.fates = [Fate(purchase) for purchase in workload.purchases]
        try:
            await self._client.get("/products?limit=1")
        except GaveUp as error:
            visit.troubles.append(str(error))
            return visit
        await self._seed(workload)
        started = self._clock.monotonic()
        self._progress.phase("placing orders", len(visit.fates))
        await self._each(visit.fates, self._place)
        visit.seconds = self._clock.monotonic() - started
        await self._wait_for_ends()
        visit.retries = self._client.retries
        return visit

    async def _seed(self, workload: Workload) -> None:
        received = [
            ReceiveStock(
                receipt_id=f"{self._name}-{product_id}",
                product_id=product_id,
                quantity=round(units * self._stock_factor),
            )
            for product_id, units in workload.stock.items()
        ]
        commands: list[tuple[str, str, Any]] = [
            *(("/products", product.product_id, product) for product in workload.products),
            *(("/customers", customer.customer_id, customer) for customer in workload.customers),
            *(("/stock", receipt.receipt_id, receipt) for receipt in received),
        ]
        self._progress.phase("seeding", len(commands))
        await self._each(commands, self._send)

    async def _send(self, command: tuple[str, str, Any]) -> None:
        path, own_key, message = command
        try:
            answer = await self._client.post(path, message, f"{self._name}{path}/{own_key}")
        except GaveUp as error:
            self._visit.troubles.append(str(error))
            return
        if not answer.accepted:
            self._visit.troubles.append(f"POST {path} {own_key}: {answer.status} {answer.value}")

    async def _place(self, fate: Fate) -> None:
        key = f"{self._name}/orders/{fate.purchase.reference}"
        try:
            fate.answer = await self._client.post("/orders", fate.purchase.order, key)
        except GaveUp as error:
            fate.failure = str(error)
            return
        if fate.answer.accepted:
            fate.order_id = fate.answer.value
        else:
            fate.failure = f"{fate.answer.status} {fate.answer.value}"

    async def _wait_for_ends(self) -> None:
        """Poll until every accepted order has ended, or nothing has moved for as long as we are patient."""
        waiting = [fate for fate in self._visit.fates if fate.order_id]
        self._progress.phase("waiting for their ends", len(waiting))
        moved_at, delay_seconds = self._clock.monotonic(), FIRST_POLL_SECONDS
        while waiting:
            await self._each(waiting, self._look, counted=False)
            still_waiting = [fate for fate in waiting if not fate.ended]
            now = self._clock.monotonic()
            if len(still_waiting) < len(waiting):
                for _ in range(len(waiting) - len(still_waiting)):
                    self._progress.step()
                moved_at, delay_seconds = now, FIRST_POLL_SECONDS
            elif now - moved_at > self._patience_seconds:
                return
            else:
                delay_seconds = min(LONGEST_POLL_SECONDS, 2 * delay_seconds)
            waiting = still_waiting
            if waiting:
                await self._clock.sleep(delay_seconds)

    async def _look(self, fate: Fate) -> None:
        try:
            order = await self._client.get(f"/orders/{fate.order_id}")
            if not order.accepted:
                fate.failure = f"GET /orders/{fate.order_id}: {order.status} {order.value}"
                return
            if order.value["status"] == OrderStatus.CONFIRMED and not await self._is_delivered(fate):
                return
        except GaveUp as error:
            fate.failure = str(error)
            return
        fate.failure = ""
        fate.status, fate.reason = order.value["status"], order.value.get("reason") or ""

    async def _is_delivered(self, fate: Fate) -> bool:
        """Whether invoice and shipment of a confirmed order are there too; both follow on their own."""
        for path in (f"/invoices/{fate.order_id}", f"/shipments/{fate.order_id}"):
            if (await self._client.get(path)).status == NOT_FOUND:
                return False
        return True

    async def _each(
        self, items: Iterable[Item], work: Callable[[Item], Awaitable[None]], *, counted: bool = True
    ) -> None:
        """Do the work for each item, so many at a time."""
        remaining = iter(list(items))

        async def worker() -> None:
            for item in remaining:
                await work(item)
                if counted:
                    self._progress.step()

        async with asyncio.TaskGroup() as workers:
            for _ in range(self._in_flight):
                workers.create_task(worker())
