"""The journey and its summary, against a shop of a few lines."""

from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from shop.traffic.client import Answer, GaveUp
from shop.traffic.invention import invent
from shop.traffic.journey import Journey, Visit
from shop.traffic.summary import figures, percentile, succeeded, table


class NoProgress:
    def phase(self, name: str, total: int) -> None: ...

    def step(self) -> None: ...


class QuickClock:
    elapsed = 0.0

    def monotonic(self) -> float:
        return self.elapsed

    async def sleep(self, seconds: float) -> None:
        self.elapsed += seconds


class LittleShop:
    """Accepts everything; every third order is cancelled, the others are confirmed at the second look."""

    def __init__(self, clock: QuickClock) -> None:
        self.clock = clock
        self.retries = 0
        self.keys: list[str] = []
        self.looked: set[str] = set()
        self.refused: dict[str, Answer | GaveUp] = {}
        self.stuck: set[str] = set()

    async def post(self, path: str, message: Any, key: str) -> Answer:
        self.keys.append(key)
        self.clock.elapsed += 0.01
        refusal = self.refused.get(key.removeprefix("run"))
        if isinstance(refusal, GaveUp):
            raise refusal
        return refusal or Answer(201, f"order-{len(self.keys)}", 0.01)

    async def get(self, path: str) -> Answer:
        kind, _, order_id = path.removeprefix("/").partition("/")
        if kind != "orders":
            return Answer(200, None, 0.0)
        if order_id not in self.looked or order_id in self.stuck:
            self.looked.add(order_id)
            return Answer(200, {"status": "pending", "reason": None}, 0.0)
        if int(order_id.removeprefix("order-")) % 3 == 0:
            return Answer(200, {"status": "cancelled", "reason": "out of stock"}, 0.0)
        return Answer(200, {"status": "confirmed", "reason": None}, 0.0)


async def travel(shop: LittleShop, orders: int = 9) -> Visit:
    journey = Journey(
        shop, shop.clock, NoProgress(), name="run", in_flight=4, stock_factor=10, patience_seconds=5
    )  # fmt: skip
    return await journey.run(invent(orders, seed=1))


async def test_every_order_is_placed_once_and_seen_to_its_end() -> None:
    shop = LittleShop(QuickClock())
    numbers = figures(await travel(shop))
    assert (numbers["orders"], numbers["placed"], numbers["confirmed"]) == (9, 9, 6)
    assert numbers["cancelled"] == {"out of stock": 3}
    assert numbers["not_ended"] == 0
    assert len(set(shop.keys)) == len(shop.keys)
    assert succeeded(numbers)


async def test_the_same_name_uses_the_same_keys_again() -> None:
    first, second = LittleShop(QuickClock()), LittleShop(QuickClock())
    await travel(first)
    await travel(second)
    assert sorted(first.keys) == sorted(second.keys)


async def test_a_refused_order_fails_the_run_and_is_counted_by_status() -> None:
    shop = LittleShop(QuickClock())
    shop.refused = {"/orders/000003": Answer(422, {"title": "no"}, 0.0), "/orders/000004": GaveUp("gone")}
    numbers = figures(await travel(shop))
    assert numbers["refused"] == {"422": 1, "none": 1}
    assert numbers["placed"] == 7
    assert numbers["failures"] == ["000003: 422 {'title': 'no'}", "000004: gone"]
    assert not succeeded(numbers)


async def test_an_order_that_does_not_end_fails_the_run_when_patience_is_over() -> None:
    shop = LittleShop(QuickClock())
    shop.stuck = {f"order-{number}" for number in range(1000)}
    numbers = figures(await travel(shop))
    assert numbers["not_ended"] == 9
    assert shop.clock.elapsed > 5
    assert not succeeded(numbers)


async def test_what_cannot_be_seeded_fails_the_run() -> None:
    shop = LittleShop(QuickClock())
    shop.refused = {"/products/1-000": Answer(409, "ProductDiffers", 0.0)}
    numbers = figures(await travel(shop))
    assert numbers["troubles"] == ["POST /products 1-000: 409 ProductDiffers"]
    assert not succeeded(numbers)
    console = Console(file=StringIO(), width=120)
    console.print(table(numbers))
    assert "ProductDiffers" in console.file.getvalue()


@pytest.mark.parametrize(("percent", "value"), [(50, 2.0), (99, 4.0), (1, 1.0)])
def test_percentiles_are_nearest_ranks(percent: int, value: float) -> None:
    assert percentile([1.0, 2.0, 3.0, 4.0], percent) == value
    assert percentile([], percent) is None
