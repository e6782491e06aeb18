"""What the tools print of a system's data, and what they find wrong with its files."""

from __future__ import annotations

import json
import sqlite3
import sys
from datetime import timedelta
from pathlib import Path
from types import ModuleType

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table
from typer.testing import CliRunner

from insula import Command, Event, Module, Rejection, System, UnitOfWork
from insula.cli.main import application
from insula.cli.output import show
from insula.runtime.admin import status_of
from insula.runtime.application import Application

runner = CliRunner()
NAME = "[/x] :heart: nope:x"


class Refused(Rejection):
    """Not this one."""

    name: str


class Begin(Command[None], key="name"):
    """Say it, and ask for what will be refused."""

    name: str


class Never(Command[None], key="name", rejects=(Refused,)):
    """Always refused."""

    name: str


class Later(Command[None]):
    """Sent for much later."""


class Begun(Event, key="name"):
    """It has begun."""

    name: str


def speaking() -> System:
    """A module whose event is never handled and whose command is always refused."""
    module = Module("speaking")

    @module.handle(Begin)
    async def begin(command: Begin, work: UnitOfWork) -> None:
        work.publish(Begun(name=command.name))
        work.send(Never(name=command.name))
        work.send(Later(), delay=timedelta(days=1))

    @module.handle(Never)
    async def never(command: Never) -> None:
        raise Refused(name=command.name)

    @module.handle(Later)
    async def later(command: Later) -> None: ...

    @module.on(Begun, attempts=1)
    async def fail(event: Begun) -> None:
        raise OSError(f"no {event.name}")

    return System("speaking", module)


@pytest.fixture
def target(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """The name under which the command line finds the system."""
    python_module = ModuleType("a_speaking_system")
    python_module.system = speaking()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "a_speaking_system", python_module)
    monkeypatch.chdir(tmp_path)
    return "a_speaking_system:system"


MESSAGE_ID = "01900000-0000-7000-8000-000000000003"


async def fill(target: str) -> None:
    """Let the system handle what there is."""
    system: System = sys.modules[target.partition(":")[0]].system
    async with Application(system) as running:
        await running.bus.call(Begin(name=NAME), message_id=MESSAGE_ID)
        for relay in running.wired.relays:
            await relay.step()
            await relay.save()
        assert [(module.delayed, module.dead) for module in (await status_of(running)).modules] == [(1, 1)]
        await running.maintain()  # which forgets marks that no redelivery needs


async def test_keys_that_look_like_markup_are_printed_as_they_are(target: str) -> None:
    await fill(target)
    result = invoked(["dead-letters", "list", target], COLUMNS="300")
    assert (result[0], NAME in result[1]) == (0, True), result[1]
    tail = invoked(["events", "tail", target])
    assert (tail[0], NAME in tail[1]) == (0, True), tail[1]


async def test_a_trace_shows_how_each_message_ended(target: str) -> None:
    await fill(target)
    code, output = invoked(["trace", MESSAGE_ID, target], COLUMNS="400")
    assert code == 0, output
    assert 'speaking.Never: rejected {"code":"Refused"' in output
    assert "speaking.fail: dead letter speaking/1 after 1 attempts: OSError: no [/x] :heart:" in output
    assert "delayed until" in output


async def test_a_letter_that_is_not_there_is_a_no_whatever_is_asked_of_it(target: str) -> None:
    await fill(target)
    codes = [invoked(["dead-letters", action, "speaking/9", target])[0] for action in ("show", "retry", "drop")]
    assert codes == [1, 1, 1]
    code, output = invoked(["dead-letters", "show", "speaking/1", target])
    assert (code, json.loads(output)[0]["envelope"]["data"]) == (0, {"name": NAME})


def invoked(arguments: list[str], **environment: str) -> tuple[int, str]:
    """Run a command that brings no event loop of its own; its exit code and output."""
    result = runner.invoke(application, arguments, env=environment)
    return result.exit_code, result.output


def test_the_column_that_is_there_to_be_typed_is_never_cut(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    row = [
        "notifications/123456",
        "dead",
        "notifications.tell_somebody",
        "OrderConfirmed",
        "k" * 36,
        8,
        "t" * 25,
        "e" * 300,
    ]
    columns = ["letter", "state", "consumer", "message", "key", "attempts", "since", "error"]
    show("Dead letters", columns, [row], as_json=False, whole="letter")
    assert "notifications/123456" in capsys.readouterr().out


def test_a_folder_without_files_is_named_in_full(target: str, tmp_path: Path) -> None:
    code, output = invoked(["events", "tail", target, "--directory", "elsewhere"])
    assert (code, f"{tmp_path}/elsewhere/speaking.db" in output.replace("\n", "")) == (2, True), output


def system_of(module: Module, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let the command line find a system of one module."""
    python_module = ModuleType("a_changing_system")
    python_module.system = System("changing", module)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "a_changing_system", python_module)
    return "a_changing_system:system"


async def test_doctor_finds_an_applied_migration_that_was_edited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "migrations" / "0001_notes.sql"
    file.parent.mkdir()
    file.write_text("create table notes (id integer);")
    module = Module("noting", migrations=file.parent)
    target = system_of(module, monkeypatch)
    async with Application(System("changing", module)):
        pass
    assert invoked(["doctor", target])[0] == 0
    file.write_text("create table notes (id integer, text text);")
    code, output = invoked(["doctor", target, "--json"])
    assert (code, "was edited after it was applied" in output) == (1, True), output


async def test_doctor_finds_a_declared_column_that_the_file_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def noting(*columns: Column[str]) -> Module:
        module = Module("noting", tables=MetaData())
        Table("notes", module.tables, Column("id", Integer), *columns)
        return module

    async with Application(System("changing", noting())):
        pass
    before = sqlite3.connect(tmp_path / ".insula" / "noting.db").execute("select * from sqlite_master").fetchall()
    code, output = invoked(["doctor", system_of(noting(Column("text", String)), monkeypatch), "--json"])
    assert (code, "table notes has no column text" in output) == (1, True), output
    after = sqlite3.connect(tmp_path / ".insula" / "noting.db").execute("select * from sqlite_master").fetchall()
    assert before == after


@pytest.mark.parametrize("command", ["check", "doctor"])
def test_a_migration_that_cannot_be_one_is_found_before_the_start(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "migrations").mkdir()
    (tmp_path / "migrations" / "first.sql").write_text("select 1;")
    target = system_of(Module("noting", migrations=tmp_path / "migrations"), monkeypatch)
    code, output = invoked([command, target, "--json"])
    assert (code, "name it like 0001_what_it_does.sql" in output) == (1, True), output


def test_a_folder_of_migrations_is_looked_for_beside_the_file_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    target = system_of(Module("noting", migrations="migrations_of_nobody"), monkeypatch)
    code, output = invoked(["check", target, "--json"])
    where = Path(__file__).parent / "migrations_of_nobody"
    assert (code, json.loads(output)["problems"]) == (
        1,
        [f"module 'noting': {where}: no such folder of migrations; create it or drop migrations="],
    )
