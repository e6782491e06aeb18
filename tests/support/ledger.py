"""A module with columns of every kind, for moving it while it is written to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    String,
    Table,
    delete,
    insert,
    select,
    update,
)

from insula import Command, Event, Module, Query, System, UnitOfWork
from insula.runtime.application import Application
from insula.runtime.configuration import Configuration, Store
from insula.runtime.extraction.progress import ENDED, Phase, Progress
from insula.runtime.surroundings import Surroundings

TABLES = MetaData()
ACCOUNTS = Table(
    "accounts", TABLES,
    Column("number", Integer, primary_key=True), Column("owner", String, unique=True), Column("rate", Float),
    Column("limit", Numeric(12, 2)), Column("open", Boolean), Column("seal", LargeBinary), Column("terms", JSON),
    Column("since", DateTime(timezone=True)), Column("reviewed", DateTime),
)  # fmt: skip
ENTRIES = Table(
    "entries", TABLES,
    Column("account", Integer, ForeignKey("accounts.number"), primary_key=True),
    Column("position", Integer, primary_key=True), Column("cents", Integer, nullable=False),
)  # fmt: skip


class Open(Command[int]):
    """Open an account."""

    owner: str


class Enter(Command[None]):
    """Enter a sum; every fifth is crossed out again, and owners take over each other's names."""

    account: int
    position: int


class Entered(Event, key="account"):
    """A sum was entered."""

    account: int
    position: int


class CountEntries(Query[int]):
    """How many there are."""


def ledger() -> System:
    """Two modules: one is moved, the other counts what it hears."""
    books, hearing = Module("books", tables=TABLES), Module("hearing", tables=MetaData())
    heard = Table(
        "heard",
        hearing.tables,
        Column("account", Integer, primary_key=True),
        Column("position", Integer, primary_key=True),
    )

    @books.handle(Open)
    async def open_account(command: Open, work: UnitOfWork) -> int:
        values: dict[str, Any] = {
            "owner": command.owner, "rate": 0.1, "limit": Decimal("10.50"), "open": True, "seal": b"\x00\xff",
            "terms": {"a": [1, 2.5, None]}, "since": datetime(2026, 1, 1, tzinfo=UTC),
            "reviewed": datetime.fromisoformat("2026-01-02"),
        }  # fmt: skip
        made = await work.execute(insert(ACCOUNTS).values(**values).returning(ACCOUNTS.c.number))
        return int(made.scalar_one())

    @books.handle(Enter)
    async def enter(command: Enter, work: UnitOfWork) -> None:
        row = {"account": command.account, "position": command.position, "cents": 1}
        await work.execute(insert(ENTRIES).values(**row))
        if command.position % 5 == 4:
            await work.execute(
                delete(ENTRIES).where(ENTRIES.c.account == command.account, ENTRIES.c.position == command.position - 1)
            )
            await work.execute(update(ACCOUNTS).where(ACCOUNTS.c.number == command.account).values(owner=None))
            await work.execute(
                update(ACCOUNTS)
                .where(ACCOUNTS.c.number == command.account)
                .values(owner=f"{command.account}/{command.position}")
            )
        work.publish(Entered(account=command.account, position=command.position))

    @books.handle(CountEntries)
    async def count(query: CountEntries, work: UnitOfWork) -> int:
        return len((await work.execute(select(ENTRIES))).all())

    @hearing.on(Entered)
    async def hear(event: Entered, work: UnitOfWork) -> None:
        await work.execute(insert(heard).values(account=event.account, position=event.position))

    return System("ledger", books, hearing)


@asynccontextmanager
async def running(directory: Path, holder: str = "", **store: Any) -> AsyncIterator[Application]:
    """The ledger, running in this process; with a name of its own as one of several."""
    surroundings = Surroundings(holder=holder)
    configuration = Configuration(store=Store(**store))
    async with Application(ledger(), configuration, directory=directory, surroundings=surroundings) as application:
        yield application


class Writing:
    """Entries made one after the other in many accounts, until told to stop; an error ends the test."""

    def __init__(self, application: Application, accounts: list[int]) -> None:
        self._application = application
        self._stopping = False
        self.entered: set[tuple[int, int]] = set()
        self._tasks = [asyncio.ensure_future(self._write(account)) for account in accounts]

    async def _write(self, account: int) -> None:
        position = 0
        while not self._stopping:
            await self._application.bus.call(Enter(account=account, position=position))
            self.entered.add((account, position))
            position += 1
            await self._application.clock.sleep(0.002)

    async def stop(self) -> set[tuple[int, int]]:
        """What was answered."""
        self._stopping = True
        await asyncio.gather(*self._tasks)
        return self.entered


@asynccontextmanager
async def written_to(application: Application, accounts: int = 8) -> AsyncIterator[Writing]:
    """Entries are made all the while."""
    numbers = [await application.bus.call(Open(owner=f"owner {number}")) for number in range(accounts)]
    writing = Writing(application, numbers)
    try:
        yield writing
    finally:
        await writing.stop()


async def ended(application: Application, phase: Phase = Phase.SWITCHED) -> Progress:
    """The extraction once nothing happens any more, in this phase."""
    give_up = application.clock.monotonic() + 60
    while (progress := application.extractions.progress("books")) is None or progress.phase not in ENDED:
        assert application.clock.monotonic() < give_up, progress
        await application.clock.sleep(0.01)
    assert progress.phase is phase, progress
    return progress


async def entries(application: Application) -> set[tuple[int, int]]:
    """Those that are in the books, wherever they lie."""
    rows = await application.wired.databases["books"].read("select account, position from entries")
    return {(account, position) for account, position in rows}


def kept(entered: set[tuple[int, int]]) -> set[tuple[int, int]]:
    """Those of the entries that were not crossed out again."""
    return {
        (account, number) for account, number in entered if not (number % 5 == 3 and (account, number + 1) in entered)
    }


async def everything_heard(application: Application, entered: set[tuple[int, int]]) -> bool:
    """Whether the other module hears of each entry, in the end: a holder notices at its next renewal that it moved."""
    for _ in range(2000):
        rows = await application.wired.databases["hearing"].read("select account, position from heard")
        if {tuple(row) for row in rows} == entered:
            return True
        await application.clock.sleep(0.01)
    return False
