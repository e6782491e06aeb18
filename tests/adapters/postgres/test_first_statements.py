"""The first statements of a process come together, on a database that has everything already: none waits for ever."""

from __future__ import annotations

from insula.adapters.postgres.address import Address
from support.processes import ROOT, tool

PROGRAM = """
import asyncio, sys
from insula.adapters.postgres.address import Address
from support.notes import add_note, texts
from support.postgres import opened_on_postgres

async def main():
    async with opened_on_postgres(Address(sys.argv[1])) as database:
        await asyncio.gather(*(add_note(database, str(number)) for number in range(20)))
        print(len(await texts(database)))

asyncio.run(main())
"""


def test_the_first_statements_of_a_process_may_come_together(postgres_address: Address) -> None:
    paths = ":".join(str(ROOT / part) for part in ("src", "examples", "tests"))
    done = tool("-c", PROGRAM, postgres_address.url, timeout_seconds=30, environment={"PYTHONPATH": paths})
    assert (done.returncode, done.stdout) == (0, "20\n"), done.stderr
