"""The last write wins, says a clock that is wrong.

The bug: each counter stamps its price with its own clock, and the catalog keeps the price with the highest stamp. The
price that was set later, at a counter whose clock is behind, is thrown away.
In the wild: "last write wins" in replicated stores, `exp` and `nbf` of tokens, deadlines handed over as an hour.
The cure: a number that is handed along and counted up (Lamport, Time, Clocks and the Ordering of Events, 1978).
"""

from __future__ import annotations

from sqlalchemy import Column, Float, Integer, MetaData, Table, select

from insula import Clock, Command, Event, Module, System, UnitOfWork
from insula.simulation import Client, Simulation, Snapshot, eventually

INVARIANT = "the price set last is the price"

TABLES = MetaData()
prices = Table("prices", TABLES, Column("euros", Integer), Column("stamp", Float))


class SetPriceNorth(Command[float]):
    euros: int
    seen: float


class SetPriceSouth(Command[float]):
    euros: int
    seen: float


class PriceSet(Event):
    euros: int
    stamp: float


async def set_price_north(command: SetPriceNorth, clock: Clock, work: UnitOfWork) -> float:
    return _publish(command.euros, clock.now().timestamp(), work)


async def set_price_south(command: SetPriceSouth, clock: Clock, work: UnitOfWork) -> float:
    return _publish(command.euros, clock.now().timestamp(), work)


async def set_price_north_after(command: SetPriceNorth, work: UnitOfWork) -> float:
    return _publish(command.euros, command.seen + 1, work)


async def set_price_south_after(command: SetPriceSouth, work: UnitOfWork) -> float:
    return _publish(command.euros, command.seen + 1, work)


def _publish(euros: int, stamp: float, work: UnitOfWork) -> float:
    work.publish(PriceSet(euros=euros, stamp=stamp))
    return stamp


async def keep_the_last(event: PriceSet, work: UnitOfWork) -> None:
    await work.execute("insert into prices values (:euros, :stamp)", {"euros": event.euros, "stamp": event.stamp})


async def raise_the_price(client: Client) -> None:
    seen = await client.call(SetPriceNorth(euros=10, seen=0))
    await client.call(SetPriceSouth(euros=12, seen=seen))


@eventually
def the_price_set_last_is_the_price(state: Snapshot) -> None:
    expected = [each.euros for each in state.events(PriceSet)][-1:]
    last = state.rows("catalog", select(prices.c.euros).order_by(prices.c.stamp.desc()).limit(1))
    assert [row.euros for row in last] == expected


def build(broken: bool) -> Simulation:
    north, south, catalog = Module("north"), Module("south"), Module("catalog", tables=TABLES)
    north.handle(SetPriceNorth)(set_price_north if broken else set_price_north_after)
    south.handle(SetPriceSouth)(set_price_south if broken else set_price_south_after)
    catalog.on(PriceSet)(keep_the_last)
    return Simulation(
        System("prices", north, south, catalog),
        raise_the_price,
        [the_price_set_last_is_the_price],
        topology={"north": [north], "south": [south, catalog]},
    )
