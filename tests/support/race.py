"""A till with a race: two payments at once read the same balance, and the later one overwrites the earlier."""

from __future__ import annotations

from sqlalchemy import Column, Integer, MetaData, String, Table, select

from insula import Ask, Command, Module, Query, System, UnitOfWork
from insula.simulation import Snapshot, eventually

till, books = Module("till"), Module("books", tables=MetaData())
balances = Table("balances", books.tables, Column("name", String, primary_key=True), Column("euros", Integer))


class Pay(Command[None]):
    euros: int


class SetBalance(Command[None]):
    euros: int


class GetBalance(Query[int]):
    pass


@till.handle(Pay)
async def pay(command: Pay, ask: Ask, work: UnitOfWork) -> None:
    balance = await ask(GetBalance())
    work.send(SetBalance(euros=balance + command.euros))


@books.handle(SetBalance)
async def set_balance(command: SetBalance, work: UnitOfWork) -> None:
    await work.execute("insert or replace into balances values ('till', :euros)", {"euros": command.euros})


@books.handle(GetBalance)
async def get_balance(query: GetBalance, work: UnitOfWork) -> int:
    return await work.scalar(select(balances.c.euros)) or 0


race = System("race", till, books)


@eventually
def the_balance_is_what_was_paid(state: Snapshot) -> None:
    paid = sum(each.kind == "command" for each in state.log(till))
    assert (state.scalar(books, select(balances.c.euros)) or 0) == paid


FIVE_PAYMENTS = [Pay(euros=1) for _ in range(5)]
