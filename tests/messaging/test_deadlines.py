"""A handler's deadline is the ambient one of all that it does, and asking carries what is left."""

from __future__ import annotations

import pytest

from insula import Ask, Command, Context, Module, Query, System
from insula.kernel import ambient_deadline, clock_of_process
from insula.resilience import TimedOut, Timeout
from insula.testing import Scenario

front, back = Module("front"), Module("back")
seen: dict[str, object] = {}


class Order(Command[None]):
    pass


class OrderQuickly(Command[None]):
    pass


class OrderPlainly(Command[None]):
    pass


class OrderInVain(Command[None]):
    pass


class Price(Query[int]):
    pass


@front.handle(Order)
async def order(command: Order, ask: Ask) -> None:
    seen["handler"] = ambient_deadline.get()
    await ask(Price())


@front.handle(OrderQuickly)
async def order_quickly(command: OrderQuickly, ask: Ask) -> None:
    await Timeout(2).call(ask, Price())


@front.handle(OrderInVain)
async def order_in_vain(command: OrderInVain) -> None:
    await Timeout(2).call(clock_of_process().sleep, 60)


@front.handle(OrderPlainly)
def order_plainly(command: OrderPlainly) -> None:
    seen["thread"] = ambient_deadline.get()


@back.handle(Price)
async def price(query: Price, context: Context) -> int:
    seen["asked"] = (context.remaining(), ambient_deadline.get())
    return 1


async def test_the_callers_time_reaches_whoever_is_asked() -> None:
    async with Scenario(System("shop", front, back)) as shop:
        await shop.wired.bus.call(Order(), timeout_seconds=5)
        assert seen == {"handler": 5.0, "asked": (5.0, 5.0)}
        assert ambient_deadline.get() == float("inf")


async def test_without_a_deadline_there_is_none() -> None:
    async with Scenario(System("shop", front, back)) as shop:
        await shop.call(Order())
        assert seen["asked"] == (None, float("inf"))


async def test_asking_within_a_timeout_carries_what_is_left() -> None:
    async with Scenario(System("shop", front, back)) as shop:
        await shop.call(OrderQuickly())
        assert seen["asked"] == (2.0, 2.0)
        await shop.wired.bus.call(OrderQuickly(), timeout_seconds=1)
        assert seen["asked"] == (1.0, 1.0)


async def test_calling_within_a_timeout_does_too() -> None:
    async with Scenario(System("shop", front, back)) as shop:
        await Timeout(3).call(shop.call, Order())
        assert seen["asked"] == (3.0, 3.0)


async def test_a_handler_that_waited_in_vain_for_something_else_does_not_use_up_its_callers_time() -> None:
    async with Scenario(System("shop", front, back)) as shop:
        with pytest.raises(TimedOut, match="the 2 s it had"):
            await shop.clock.run(shop.wired.bus.call(OrderInVain(), timeout_seconds=5))


async def test_a_handler_on_a_thread_knows_it_as_well() -> None:
    async with Scenario(System("shop", front, back)) as shop:
        await shop.wired.bus.call(OrderPlainly(), timeout_seconds=5)
        assert seen["thread"] == 5.0


async def test_a_scenario_is_a_process_of_its_own() -> None:
    outside = clock_of_process()
    async with Scenario(System("shop", front, back)) as shop:
        assert clock_of_process() is shop.clock
        await shop.restart()
        assert clock_of_process() is shop.clock
    assert clock_of_process() is outside
