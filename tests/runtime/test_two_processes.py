"""The hello of the README in two and three processes: messages over NATS, calls over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from hello import GetPoints, PlaceOrder, TooSmall, shop
from insula import Ask, Module, Query, System
from insula.kernel.errors import Unavailable
from insula.runtime.application import Application
from insula.runtime.local.nats import LocalNats
from support.neighbourhood import Neighbourhood

TWO = {"one": ["orders"], "two": ["loyalty"]}


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[LocalNats]:
    """A NATS server that the test may kill."""
    with LocalNats(tmp_path / "nats") as server:
        yield server


async def becomes(expected: int, ask: Callable[[], Awaitable[int]]) -> None:
    """Wait until the answer is as expected."""
    async with asyncio.timeout(20):
        while await ask() != expected:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def points_of(application: Application, customer: str = "ann") -> Callable[[], Awaitable[int]]:
    return lambda: application.bus.call(GetPoints(customer=customer))


def move(file: Path, folder: Path) -> None:
    """Take a module's data to another process."""
    folder.mkdir(exist_ok=True)
    file.rename(folder / file.name)


async def test_an_order_in_one_process_earns_points_in_the_other_once(broker: LocalNats, tmp_path: Path) -> None:
    async with Neighbourhood(shop, TWO, broker.url, tmp_path).all() as running:
        await running["one"].bus.call(PlaceOrder(customer="ann", euros=40))
        await becomes(40, points_of(running["two"]))
        assert await points_of(running["one"])() == 40  # over HTTP
        await running["two"].bus.call(PlaceOrder(customer="ann", euros=2 + 3))  # and the other way round
        await becomes(45, points_of(running["one"]))


async def test_a_rejection_crosses_as_its_own_type(broker: LocalNats, tmp_path: Path) -> None:
    async with Neighbourhood(shop, TWO, broker.url, tmp_path).all() as running:
        with pytest.raises(TooSmall) as refusal:
            await running["two"].bus.call(PlaceOrder(customer="ann", euros=4))
        assert refusal.value.minimum == 5


async def test_a_command_called_twice_under_one_id_from_elsewhere_works_once(broker: LocalNats, tmp_path: Path) -> None:
    async with Neighbourhood(shop, TWO, broker.url, tmp_path).all() as running:
        again = "0190a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"
        for _ in range(2):
            await running["two"].bus.call(PlaceOrder(customer="ann", euros=40), message_id=again)
        await running["two"].bus.call(PlaceOrder(customer="bob", euros=7))
        await becomes(7, points_of(running["two"], "bob"))
        await becomes(40, points_of(running["two"]))


async def test_the_broker_may_be_killed_and_started_again_in_between(broker: LocalNats, tmp_path: Path) -> None:
    async with Neighbourhood(shop, TWO, broker.url, tmp_path).all() as running:
        orders, loyalty = running["one"], running["two"]
        for euros in (10, 20):
            await orders.bus.call(PlaceOrder(customer="ann", euros=euros))
        broker.kill()
        for euros in (30, 40):
            await orders.bus.call(PlaceOrder(customer="ann", euros=euros))
        broker.start()
        await orders.bus.call(PlaceOrder(customer="ann", euros=50))
        await becomes(150, points_of(loyalty))
        assert orders.ready
        assert loyalty.ready


async def test_each_process_may_be_away_while_the_other_works(broker: LocalNats, tmp_path: Path) -> None:
    neighbourhood = Neighbourhood(shop, TWO, broker.url, tmp_path)
    async with neighbourhood.process("one") as orders:  # the other one has never run
        await orders.bus.call(PlaceOrder(customer="ann", euros=10))
        with pytest.raises(Unavailable, match="loyalty at http"):
            await points_of(orders)()
    async with neighbourhood.process("two") as loyalty:
        await becomes(10, points_of(loyalty))
    async with neighbourhood.process("one") as orders:
        await orders.bus.call(PlaceOrder(customer="ann", euros=20))
    async with neighbourhood.all() as running:
        await becomes(30, points_of(running["two"]))


async def test_what_was_taken_in_one_process_does_not_come_again_when_the_modules_are_split(
    broker: LocalNats, tmp_path: Path
) -> None:
    async with Application(shop, directory=tmp_path / "whole") as whole:
        await whole.bus.call(PlaceOrder(customer="ann", euros=10))
        await becomes(10, points_of(whole))
    move(tmp_path / "whole" / "orders.db", tmp_path / "one")
    move(tmp_path / "whole" / "loyalty.db", tmp_path / "two")
    async with Neighbourhood(shop, TWO, broker.url, tmp_path).all() as running:
        await running["one"].bus.call(PlaceOrder(customer="ann", euros=20))
        await becomes(30, points_of(running["two"]))


async def test_what_was_taken_in_two_processes_does_not_come_again_when_the_modules_are_joined(
    broker: LocalNats, tmp_path: Path
) -> None:
    async with Neighbourhood(shop, TWO, broker.url, tmp_path).all() as running:
        for customer in ("ann", "bob", "cyd"):
            await running["one"].bus.call(PlaceOrder(customer=customer, euros=10))
        for customer in ("ann", "bob", "cyd"):
            await becomes(10, points_of(running["two"], customer))
        await running["two"].maintain()  # the marks of what was taken go
    move(tmp_path / "one" / "orders.db", tmp_path / "whole")
    move(tmp_path / "two" / "loyalty.db", tmp_path / "whole")
    for euros in (20, 30):
        async with Application(shop, directory=tmp_path / "whole") as whole:
            await whole.bus.call(PlaceOrder(customer="ann", euros=10))
            await becomes(euros, points_of(whole))
            assert [await points_of(whole, customer)() for customer in ("bob", "cyd")] == [10, 10]


desk = Module("desk")


class Summary(Query[str]):
    """Answered with what another module says."""

    customer: str


@desk.handle(Summary)
async def summary(query: Summary, ask: Ask) -> str:
    points = await ask(GetPoints(customer=query.customer))
    return f"{query.customer} has {points}"


async def test_three_processes_of_which_one_asks_and_one_publishes(broker: LocalNats, tmp_path: Path) -> None:
    groups = {"one": ["orders"], "two": ["loyalty"], "three": ["desk"]}
    system = System("trio", *shop.modules, desk)
    async with Neighbourhood(system, groups, broker.url, tmp_path).all() as running:
        await running["three"].bus.call(PlaceOrder(customer="ann", euros=40))
        await becomes(40, points_of(running["three"]))
        assert await running["one"].bus.call(Summary(customer="ann")) == "ann has 40"
