"""A start that fails lets go of everything; a stop waits for threads without blocking them."""

import asyncio
import socket
import threading
from math import inf
from pathlib import Path

import pytest

from insula import Command, Event, Module, System, UnitOfWork
from insula.kernel import ambient_deadline
from insula.kernel.errors import ConfigurationError, Failure
from insula.resilience import Timeout
from insula.runtime.application import Application
from insula.runtime.configuration import Configuration, Http, Store
from insula.runtime.process import serve_system
from insula.store.migration import MigrationFailed
from insula.store.unit_of_work import SyncUnitOfWork


async def test_after_a_start_that_failed_the_next_one_finds_every_file_free(tmp_path: Path) -> None:
    migration = tmp_path / "migrations" / "0001_table.sql"
    migration.parent.mkdir()
    migration.write_text("create tabel x (n);")
    system = System("two", Module("first"), Module("second", migrations=migration.parent))
    with pytest.raises(MigrationFailed, match=r"0001_table\.sql"):
        async with Application(system, directory=tmp_path / "data"):
            raise AssertionError("it started")
    migration.write_text("create table x (n);")
    async with Application(system, directory=tmp_path / "data") as application:
        assert application.ready


class Work(Command[None]):
    """Handled on a thread."""


class Note(Command[None]):
    """Publishes, and so needs the writer's turn."""


class Noted(Event):
    """It had the turn."""


async def test_a_def_handler_that_begins_to_write_during_the_stop_fails_and_the_stop_goes_on(tmp_path: Path) -> None:
    working, begun, proceed = Module("working"), threading.Event(), threading.Event()

    @working.handle(Work)
    def do_work(command: Work, work: SyncUnitOfWork) -> None:
        begun.set()
        proceed.wait(10)
        work.execute("create table if not exists t (n)")

    @working.handle(Note)
    async def note(command: Note, work: UnitOfWork) -> None:
        work.publish(Noted())

    application = Application(System("one", working), directory=tmp_path)
    await application.__aenter__()
    call = asyncio.create_task(application.bus.call(Work()))
    await asyncio.to_thread(begun.wait, 10)
    stop = asyncio.create_task(application.__aexit__(None, None, None))
    async with asyncio.timeout(10):
        with pytest.raises(Failure, match="closing"):
            await notes_without_end(application)
        proceed.set()
        await stop
        with pytest.raises(Failure, match="closing"):
            await call


async def notes_without_end(application: Application) -> None:
    """Until the stop has come so far that no unit gets a turn any more."""
    while True:
        await application.bus.call(Note())


async def test_a_background_task_that_ends_makes_the_process_unready(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    module = Module("module")

    @module.handle(Work)
    async def do_work(command: Work, work: UnitOfWork) -> None: ...

    async with Application(System("one", module), directory=tmp_path) as application:
        tasks = application.movement._backgrounds[0]._tasks
        tasks[0].cancel()
        await asyncio.wait(tasks[:1])
        await asyncio.sleep(0)
        assert not application.ready
        assert "restart the process" in caplog.text


async def test_what_runs_in_the_background_does_not_share_the_hurry_of_whoever_started_it(tmp_path: Path) -> None:
    module, seen = Module("module"), asyncio.Queue[float]()

    @module.handle(Work)
    async def do_work(command: Work, work: UnitOfWork) -> None:
        work.publish(Noted())

    @module.on(Noted)
    async def hear(event: Noted) -> None:
        seen.put_nowait(ambient_deadline.get())

    application = Application(System("one", module), directory=tmp_path)
    async with Timeout(60):
        await application.__aenter__()
    await application.bus.call(Work())
    assert await asyncio.wait_for(seen.get(), 10) == inf
    await application.__aexit__(None, None, None)


async def test_a_port_that_is_taken_is_found_before_any_file_is_made(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        http = Http(port=taken.getsockname()[1])
        configuration = Configuration(http=http, store=Store(directory=str(tmp_path / "data")))
        with pytest.raises(ConfigurationError, match=f"{http.port}: Address already in use"):
            await serve_system(System("one", Module("working")), configuration)
    assert not (tmp_path / "data").exists()
