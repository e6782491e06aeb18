"""A lost update: read outside the transaction, write inside.

The bug: the balance is read by a query, increased in memory and written back. Two payments at once read the same
balance, and the later one overwrites the earlier.
In the wild: `account = repository.get(id)`, then `account.balance += x`, then `save(account)`, without a version.
The cure: let the database add, or read in the transaction that writes (in Insula also `work.peek`, which is checked).
"""

from __future__ import annotations

from sqlalchemy import Column, Integer, MetaData, Table, func, insert, select, update

from insula import Ask, Command, Module, Query, System, UnitOfWork
from insula.simulation import Client, ModuleSnapshot, Simulation, invariant

INVARIANT = "the balance is the sum of the payments"
PAYMENTS = 4

TABLES = MetaData()
balance = Table("balance", TABLES, Column("euros", Integer))
payments = Table("payments", TABLES, Column("euros", Integer))


class OpenTill(Command[None]):
    pass


class Pay(Command[None]):
    euros: int


class GetBalance(Query[int]):
    pass


async def open_till(command: OpenTill, work: UnitOfWork) -> None:
    await work.execute(insert(balance).values(euros=0))


async def get_balance(query: GetBalance, work: UnitOfWork) -> int:
    euros: int = await work.scalar(select(balance.c.euros))
    return euros


async def read_then_write(command: Pay, ask: Ask, work: UnitOfWork) -> None:
    before = await ask(GetBalance())
    await work.execute(insert(payments).values(euros=command.euros))
    await work.execute(update(balance).values(euros=before + command.euros))


async def let_the_database_add(command: Pay, work: UnitOfWork) -> None:
    await work.execute(insert(payments).values(euros=command.euros))
    await work.execute(update(balance).values(euros=balance.c.euros + command.euros))


async def open_the_shop(client: Client) -> None:
    await client.call(OpenTill())


async def pay_at_the_same_time(client: Client) -> None:
    await client.together(*(client.call(Pay(euros=1)) for _ in range(PAYMENTS)))


@invariant(after_commit="till")
def the_balance_is_the_sum_of_the_payments(database: ModuleSnapshot) -> None:
    paid = database.scalar(select(func.coalesce(func.sum(payments.c.euros), 0)))
    assert database.scalar(select(func.coalesce(func.sum(balance.c.euros), 0))) == paid


def build(broken: bool) -> Simulation:
    till = Module("till", tables=TABLES)
    till.handle(OpenTill)(open_till)
    till.handle(GetBalance)(get_balance)
    till.handle(Pay)(read_then_write if broken else let_the_database_add)
    return Simulation(
        System("shop-till", till),
        pay_at_the_same_time,
        [the_balance_is_the_sum_of_the_payments],
        setup=open_the_shop,
        topology="together",
    )
