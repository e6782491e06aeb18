"""Reading one's own event before it is projected.

The bug: whether there is money enough is asked of a read model, which hears of each withdrawal a little later. Who is
quick withdraws the same money twice.
In the wild: decisions on projections, search indexes, replicas and caches: "eventually consistent" reads before writes.
The cure: decide on the rows that the same transaction writes; read models are for showing.
"""

from __future__ import annotations

from sqlalchemy import Column, Integer, MetaData, Table, func, insert, select

from insula import Ask, Command, Event, Module, Query, Rejection, System, UnitOfWork
from insula.simulation import Client, ModuleSnapshot, Simulation, invariant, sometimes
from insula.simulation.invariants import Snapshot

INVARIANT = "no account is overdrawn"
DEPOSIT = 100

ACCOUNT_TABLES, VIEW_TABLES = MetaData(), MetaData()
withdrawals = Table("withdrawals", ACCOUNT_TABLES, Column("euros", Integer))
seen = Table("seen", VIEW_TABLES, Column("euros", Integer))
_TAKEN = select(func.coalesce(func.sum(withdrawals.c.euros), 0))
_TAKEN_AS_SEEN = select(func.coalesce(func.sum(seen.c.euros), 0))


class Withdraw(Command[None]):
    euros: int


class Withdrawn(Event):
    euros: int


class GetBalance(Query[int]):
    pass


class TooLittleMoney(Rejection):
    left: int


async def withdraw_what_the_view_shows(command: Withdraw, ask: Ask, work: UnitOfWork) -> None:
    await _withdraw(command.euros, await ask(GetBalance()), work)


async def withdraw_what_is_there(command: Withdraw, work: UnitOfWork) -> None:
    await _withdraw(command.euros, DEPOSIT - await work.scalar(_TAKEN), work)


async def _withdraw(euros: int, left: int, work: UnitOfWork) -> None:
    if left < euros:
        raise TooLittleMoney(left=left)
    await work.execute(insert(withdrawals).values(euros=euros))
    work.publish(Withdrawn(euros=euros))


async def project(event: Withdrawn, work: UnitOfWork) -> None:
    await work.execute(insert(seen).values(euros=event.euros))


async def get_balance(query: GetBalance, work: UnitOfWork) -> int:
    taken: int = await work.scalar(_TAKEN_AS_SEEN)
    return DEPOSIT - taken


async def withdraw_again_and_again(client: Client) -> None:
    for _ in range(3):
        await client.call(Withdraw(euros=60))
        await client.sleep(1.0)


@invariant(after_commit="accounts")
def no_account_is_overdrawn(database: ModuleSnapshot) -> None:
    assert database.scalar(_TAKEN) <= DEPOSIT


@sometimes
def money_is_withdrawn(state: Snapshot) -> bool:
    return bool(state.events(Withdrawn))


def build(broken: bool) -> Simulation:
    accounts, view = Module("accounts", tables=ACCOUNT_TABLES), Module("view", tables=VIEW_TABLES)
    accounts.handle(Withdraw)(withdraw_what_the_view_shows if broken else withdraw_what_is_there)
    view.on(Withdrawn)(project)
    view.handle(GetBalance)(get_balance)
    return Simulation(
        System("bank", accounts, view),
        withdraw_again_and_again,
        [no_account_is_overdrawn, money_is_withdrawn],
        topology="together",
    )
