"""What a handler may ask for, as docs/handlers.md shows it."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from sqlalchemy import Column, MetaData, String, Table, func, insert, select

from insula import Ask, Caller, Clock, Command, Context, Module, Query, SyncUnitOfWork, System, UnitOfWork
from insula.runtime import Application
from insula.testing import Scenario

reports = Module("reports", tables=MetaData())
written = Table("written", reports.tables, *(Column(name, String) for name in ("id", "by", "on", "text")))


class GetFigures(Query[str]):
    """Answered by another module."""


class WriteReport(Command[str]):
    """Answered with the id of the report."""


class Renumber(Command[int]):
    """Answered with the number of reports."""


# fmt: off
class Printer(Protocol):
    async def print(self, text: str, *, key: str) -> None: ...

class PaperPrinter:
    async def print(self, text: str, *, key: str) -> None:
        """The same key again prints nothing again."""

reports.bind(Printer, PaperPrinter)

@reports.handle(WriteReport)
async def write_report(
    command: WriteReport, ask: Ask, printer: Printer, clock: Clock, caller: Caller, context: Context, work: UnitOfWork
) -> str:
    figures = await ask(GetFigures())                                    # first: ask others
    await printer.print(figures, key=context.idempotency_key("print"))   # then: the outside, with a stable key
    report_id = context.new_id()                                         # the same one when the handler runs again
    row = {"id": report_id, "by": caller.subject, "on": clock.now().date().isoformat(), "text": figures}
    await work.execute(insert(written), row)                             # last: write
    return report_id

@reports.handle(Renumber)
def renumber(command: Renumber, work: SyncUnitOfWork) -> int:            # `def`: on a thread, nothing is awaited
    return work.scalar(select(func.count()).select_from(written)) or 0
# fmt: on


class FakePrinter:
    """Keeps what it was to print."""

    def __init__(self) -> None:
        self.printed: dict[str, str] = {}

    async def print(self, text: str, *, key: str) -> None:
        """As the port says."""
        self.printed[key] = text


# fmt: off
async def test_a_report_is_printed_and_kept() -> None:
    printer = FakePrinter()
    async with Scenario(reports, ports={Printer: printer}) as scenario:
        scenario.stub(GetFigures, "42")
        report_id = await scenario.call(WriteReport(), caller=Caller("ann"))
        assert list(printer.printed.values()) == ["42"]
        assert await scenario.rows(reports, select(written)) == [(report_id, "ann", "2030-01-01", "42")]
# fmt: on
        assert await scenario.call(Renumber()) == 1


async def test_a_program_calls_through_the_bus_of_an_application(tmp_path: Path) -> None:
    # fmt: off
    async with Application(System("office", reports), directory=tmp_path) as application:
        count = await application.bus.call(Renumber())
    # fmt: on
    assert count == 0
