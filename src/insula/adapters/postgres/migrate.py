"""Applies numbered migrations to a module's database, each in a transaction of its own, one process at a time."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

from insula.adapters.postgres.link import Link
from insula.adapters.postgres.statements import denied
from insula.adapters.postgres.waiting import in_synchronous_code
from insula.kernel.clock import Clock
from insula.store.migration import Applied, Migration, MigrationFailed, found_in, pending

FRAMEWORK_OWNER = "insula"
FRAMEWORK = Path(__file__).parent / "migrations"

LOCK = "select pg_advisory_xact_lock(hashtextextended('insula_migration', 0))"
_TABLE = (
    "create table if not exists insula_migration (owner text not null, number integer not null, name text not null,"
    " checksum text not null, applied_at timestamptz not null, primary key (owner, number))"
)
_APPLIED = "select number, name, checksum from insula_migration where owner = $1 order by number"
_RECORD = "insert into insula_migration values ($1, $2, $3, $4, $5)"


async def migrate(link: Link, clock: Clock, owner: str, folder: Path | None) -> Sequence[Migration]:
    """Bring the framework's own tables, then `owner`'s, to their newest version; returns what was applied.

    Raises `MigrationFailed` naming file and reason, `MigrationEdited` when an applied file has changed.
    """
    connection = link.connection
    async with connection.transaction():
        await connection.execute(LOCK)  # two that make the table at once would collide
        await connection.execute(_TABLE)
    applied = await _apply(link, clock, FRAMEWORK_OWNER, _frameworks_own())
    if folder is not None:
        applied = [*applied, *await _apply(link, clock, owner, found_in(folder, owner))]
    return applied


@functools.cache
def _frameworks_own() -> Sequence[Migration]:
    return found_in(FRAMEWORK, FRAMEWORK_OWNER)


async def _apply(link: Link, clock: Clock, owner: str, found: Sequence[Migration]) -> Sequence[Migration]:
    done: list[Migration] = []
    while True:
        transaction = link.connection.transaction()
        await transaction.start()
        try:
            await link.connection.execute(LOCK)
            rows = await link.connection.fetch(_APPLIED, owner)
            outstanding = pending(found, [Applied(*row) for row in rows], owner)
            if not outstanding:
                await transaction.rollback()
                return done
            await _run(link, outstanding[0], owner)
            record = (owner, outstanding[0].number, outstanding[0].name, outstanding[0].checksum, clock.now())
            await link.connection.execute(_RECORD, *record)
        except BaseException:
            if link.connection.is_in_transaction():
                await transaction.rollback()
            raise
        await transaction.commit()
        done.append(outstanding[0])


async def _run(link: Link, migration: Migration, owner: str) -> None:
    try:
        if migration.upgrade is not None:
            link.within = link.directly
            await in_synchronous_code(lambda: migration.upgrade(link.sql))  # type: ignore[misc]  # looked at above
        else:
            if owner != FRAMEWORK_OWNER:
                _check(migration.text)
            await link.connection.execute(migration.text)
        if not link.connection.is_in_transaction():
            raise ValueError("it ended the transaction that it runs in, and what it did before is kept")
    except Exception as error:
        raise MigrationFailed(f"{migration.path}: {error}; the database is as before this file") from error


def _check(script: str) -> None:
    """Refuse statements that would end the transaction or change Insula's tables."""
    for statement in script.split(";"):  # in a quoted text or a function's body it only looks more closely
        reason = denied(statement)
        if reason is not None and "Insula" in reason:
            raise ValueError(reason)
