"""Statements that cannot run, or were never let run."""

from __future__ import annotations

import asyncio
import sys
import warnings
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, insert, select

from insula import Command, Module, Query, System, UnitOfWork
from insula.runtime.application import Application
from insula.store.errors import ForeignAwait, StatementForgotten, TableMissing, ValueOutOfRange
from insula.testing import Scenario

TOO_LARGE = 2**63


class Note(Command[None]):
    """Note a number."""

    number: int


class Noted(Query[int]):
    """How often the number was noted."""

    number: int


def noting(*, forgetful: bool = False) -> tuple[System, Table]:
    """A module that notes numbers, and its table."""
    module = Module("noting", tables=MetaData())
    notes = Table("notes", module.tables, Column("number", Integer))

    @module.handle(Note)
    async def note(command: Note, work: UnitOfWork) -> None:
        statement = work.execute(insert(notes), {"number": command.number})
        if not forgetful:
            await statement

    @module.handle(Noted)
    async def noted(query: Noted, work: UnitOfWork) -> int:
        return len((await work.execute(select(notes).where(notes.c.number == query.number))).all())

    return System("one", module), notes


async def test_a_forgotten_await_fails_the_handler_instead_of_writing_nothing(tmp_path: Path) -> None:
    system, _ = noting(forgetful=True)
    async with Application(system, directory=tmp_path) as application:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # Python's own word for it, in passing
            with pytest.raises(StatementForgotten, match=r"note \(test_statements\.py:\d+\): 1 statement"):
                await application.bus.call(Note(number=1))


class Peep(Query[int]):
    """Reads a neighbour's table."""


class Poke(Command[None]):
    """Writes to a table that nobody has."""


async def test_a_table_that_is_not_the_modules_own_is_named_with_its_owner() -> None:
    system, notes = noting()
    other = Module("other")

    @other.handle(Peep)
    async def peep(query: Peep, work: UnitOfWork) -> int:
        return len((await work.execute(select(notes))).all())

    @other.handle(Poke)
    async def poke(command: Poke, work: UnitOfWork) -> None:
        await work.execute("delete from nowhere")

    async with Scenario(System("two", *system.modules, other)) as scenario:
        with pytest.raises(
            TableMissing, match=r"peep \(test_statements\.py:\d+\): no such table: notes; it belongs to module noting"
        ):
            await scenario.call(Peep())
        with pytest.raises(TableMissing, match=r"poke \(test_statements\.py:\d+\): no such table: nowhere; declare it"):
            await scenario.call(Poke())


async def test_a_statement_in_a_task_of_its_own_is_named_by_the_line_that_made_it() -> None:
    module, lines = Module("noting"), list[int]()

    @module.handle(Note)
    async def note(command: Note, work: UnitOfWork) -> None:
        lines.append(sys._getframe().f_lineno + 1)
        await asyncio.gather(work.execute("select 1"))

    async with Scenario(module) as scenario:
        with pytest.raises(ForeignAwait) as refused:
            await scenario.call(Note(number=1))
    assert f"the first statement (test_statements.py:{lines[0]})" in str(refused.value)


async def test_an_integer_of_more_than_64_bits_is_the_callers_fault() -> None:
    system, _ = noting()
    async with Scenario(system) as scenario:
        with pytest.raises(ValueOutOfRange, match="64 bits") as refused:
            await scenario.call(Note(number=TOO_LARGE))
        assert refused.value.status == 422
        with pytest.raises(ValueOutOfRange):
            await scenario.call(Noted(number=TOO_LARGE))
        await scenario.call(Note(number=TOO_LARGE - 1))
        assert await scenario.call(Noted(number=TOO_LARGE - 1)) == 1
