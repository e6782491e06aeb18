"""A cache that knows more than the database.

The bug: a module-level set remembers who was welcomed, so that nobody is welcomed twice. It is written before the
commit, and is not rolled back with it: the second attempt finds the customer in the set and does nothing.
In the wild: `@lru_cache`, class attributes, Redis written beside the database.
The cure: the database alone decides what has happened; a cache is filled from what is committed.
"""

from __future__ import annotations

from sqlalchemy import Column, MetaData, String, Table, func, select

from insula import Command, Event, Module, System, UnitOfWork
from insula.simulation import Simulation, Snapshot, eventually

INVARIANT = "every customer is welcomed once"

TABLES = MetaData()
gifts = Table("gifts", TABLES, Column("customer", String, primary_key=True))

_welcomed: set[str] = set()


class Register(Command[None]):
    customer: str


class CustomerRegistered(Event, key="customer"):
    customer: str


class EmptyCache:
    """Each run of the simulation begins with new processes, so what stands in for this port empties the cache."""

    def __init__(self) -> None:
        _welcomed.clear()

    def __deepcopy__(self, memo: object) -> EmptyCache:
        return EmptyCache()  # each run begins with a copy


async def register(command: Register, work: UnitOfWork) -> None:
    work.publish(CustomerRegistered(customer=command.customer))


async def welcome_who_is_not_in_the_cache(event: CustomerRegistered, work: UnitOfWork) -> None:
    if event.customer not in _welcomed:
        _welcomed.add(event.customer)
        await work.execute("insert into gifts values (:customer)", {"customer": event.customer})


async def welcome_who_is_not_in_the_database(event: CustomerRegistered, work: UnitOfWork) -> None:
    await work.execute("insert or ignore into gifts values (:customer)", {"customer": event.customer})


@eventually
def every_customer_is_welcomed_once(state: Snapshot) -> None:
    registered = {each.customer for each in state.events(CustomerRegistered)}
    assert state.scalar("gifts", select(func.count()).select_from(gifts)) == len(registered)


def build(broken: bool) -> Simulation:
    customers, giving = Module("customers"), Module("gifts", tables=TABLES)
    customers.handle(Register)(register)
    giving.bind(EmptyCache, EmptyCache)
    giving.on(CustomerRegistered)(
        welcome_who_is_not_in_the_cache if broken else welcome_who_is_not_in_the_database
    )  # fmt: skip
    return Simulation(
        System("welcome", customers, giving),
        [Register(customer="ann"), Register(customer="bob"), Register(customer="ann")],
        [every_customer_is_welcomed_once],
        topology="together",
        ports={EmptyCache: EmptyCache},
    )
