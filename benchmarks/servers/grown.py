"""Two modules on a log that has grown: python -m benchmarks.servers.grown DIRECTORY fill EVENTS, then … run SECONDS.

`fill` writes so many events that both have long dealt with; `run` lets one publish and the other hear for a while, and
prints what an event cost, what the start took, and what the process holds.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path

from sqlalchemy import Column, Integer, MetaData, Table, insert

from insula import Command, Event, Module, System, UnitOfWork
from insula.runtime.application import Application

BURST = 100
talking, hearing = Module("talking"), Module("hearing", tables=MetaData())
heard = Table("heard", hearing.tables, Column("number", Integer))
arrived = 0


class Talk(Command[None]):
    """Say something a hundred times."""


class Said(Event, key="number"):
    """One of them."""

    number: int


@talking.handle(Talk)
async def talk(command: Talk, work: UnitOfWork) -> None:
    for number in range(BURST):
        work.publish(Said(number=number))


@hearing.on(Said)
async def hear(event: Said, work: UnitOfWork) -> None:
    global arrived
    await work.execute(insert(heard), {"number": event.number})
    arrived += 1


system = System("grown", talking, hearing)

_GROW = """
with recursive counted(number) as (select 1 union all select number + 1 from counted where number < :events)
insert into insula_log (position, message_id, kind, type, schema_version, key, headers, data, time)
select head.position + number, 'filled-' || number, kind, type, schema_version, key, headers, data, time
from counted, (select * from insula_log order by position desc limit 1) as head
"""


async def burst() -> None:
    """Let a hundred events be published, and wait until each was heard."""
    async with asyncio.timeout(60):
        expected = arrived + BURST
        await application.bus.call(Talk())
        while arrived < expected:
            await asyncio.sleep(0)


async def fill(directory: Path, events: int) -> None:
    """Make both databases, and a log of so many events that were all heard."""
    global application
    async with Application(system, directory=directory) as application:
        await burst()
    with closing(sqlite3.connect(directory / "talking.db")) as log:
        log.execute(_GROW, {"events": events})
        log.commit()
        (head,) = log.execute("select max(position) from insula_log").fetchone()
    with closing(sqlite3.connect(directory / "hearing.db")) as reader:
        reader.execute("update insula_cursor set position = ? where name = 'log of talking'", (head,))
        reader.commit()


async def run(directory: Path, seconds: float) -> None:
    """Print what an event costs now."""
    global application
    began = time.perf_counter()
    async with Application(system, directory=directory) as application:
        started = time.perf_counter()
        await burst()
        before, began_bursts = arrived, time.perf_counter()
        while time.perf_counter() < began_bursts + seconds:
            await burst()
        took = time.perf_counter() - began_bursts
        print(
            json.dumps(
                {
                    "microseconds": took / (arrived - before) * 1_000_000,
                    "start_milliseconds": (started - began) * 1_000,
                    "mebibytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                }
            )
        )


application: Application

if __name__ == "__main__":
    what = fill if sys.argv[2] == "fill" else run
    asyncio.run(what(Path(sys.argv[1]), int(float(sys.argv[3]))))
