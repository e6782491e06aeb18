"""One module's way from a database to another: copy, catch up, verify, hold the writer, switch."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection as SqlConnection

from insula.kernel.clock import Clock
from insula.kernel.errors import Failure, Unavailable
from insula.runtime.extraction.progress import Phase, Progress
from insula.runtime.extraction.state import noted, remember
from insula.store.canonical import spelled_key
from insula.store.moved_rows import (
    ROWS_IN_A_CHUNK,
    Key,
    MovedTable,
    Row,
    changed_keys,
    checksum,
    chunk_after,
    count,
    differing,
    in_chunks,
    insert,
    last_key,
    remove,
    rows_of,
)  # fmt: skip
from insula.store.moving import GIVEN_UP, IDENTIFIER, MOVED_TO, STATE, Hold, Side, View

Value = TypeVar("Value")

LONGEST_HOLD_SECONDS = 5.0
_HOLDS = 20
_PAUSE_SECONDS = 0.05
_ROUNDS = 50
_SHORT_SECONDS = 0.5
_COPIED = "copied:"
_UNDO = "undo"
_PREPARED = "prepared"
_CAPTURED = "captured"
_OUT_OF_USE = f"select 1 from insula_meta where name = '{MOVED_TO}'"


class ExtractionFailed(Failure):
    """A module could not be moved; it goes on where it is."""


class Extraction:
    """Parameters: `source` and `target`; `tables`, what goes along; `identifier` of the move; `progress`, kept true."""

    def __init__(
        self,
        source: Side,
        target: Side,
        tables: Sequence[MovedTable],
        identifier: str,
        progress: Progress,
        clock: Clock,
    ) -> None:
        self._source = source
        self._target = target
        self._tables = tables
        self._names = [table.name for table in tables]
        self._identifier = identifier
        self._progress = progress
        self._clock = clock
        self._verified = False

    async def run(self, *, fresh: bool, back: bool, switched: Callable[[], None]) -> None:
        """Move everything, and call `switched` in the moment in which the target comes into force.

        Parameters: `fresh`, whether nothing of this move is in the target; `back`, whether the target had everything
        before the source did, and lacks what was changed since.
        """
        await self._prepare(fresh=fresh, back=back)
        if not back:
            await self._copy()
        await self._catch_up()
        await self._verify()
        for attempt in range(_HOLDS):
            await self._catch_up()
            try:
                await self._hold(switched, back=back)
                return
            except (TimeoutError, Unavailable) as error:
                if attempt + 1 == _HOLDS:
                    raise ExtractionFailed(
                        f"units could not be held for the last changes, {_HOLDS} times, and must not wait longer than "
                        f"{LONGEST_HOLD_SECONDS:g} s ({type(error).__name__} {error}); run it again when there is less "
                        "to do"
                    ) from error
            await self._clock.sleep(_PAUSE_SECONDS)
            await self._quiet()

    async def _prepare(self, *, fresh: bool, back: bool) -> None:
        self._progress.enter(Phase.PREPARING)
        async with self._source.snapshot() as view:
            known = await view.run(_move_noted) == self._identifier
            missing = set(self._names).difference(await view.run(self._source.captured))
        if back and (missing or not known):
            raise ExtractionFailed(
                f"not all changes were noted ({', '.join(sorted(missing))}), so there is no way back"
            )
        known = known and not missing  # a migration that makes a table anew makes it without our triggers
        await self._quiet(fresh=fresh or not known, may_clear=not back)
        if known:
            return
        async with self._source.snapshot() as view:
            captures = await view.run(lambda sql: [self._anew(sql, table) for table in self._tables])
        # One after the other: whoever holds the lock of one table alone stands in nobody's way in a circle. What is
        # copied is looked at when all are there; until then nothing counts as noted, for whoever goes on from here.
        for statements in (_note_move(None), *captures, _note_move(self._identifier)):
            await self._insistently(statements)

    async def _insistently(self, statements: Sequence[str]) -> None:
        """Run statements in a transaction, again where units have locked what they need."""
        for attempt in range(_HOLDS):
            try:
                await self._source.execute(statements)
            except Unavailable:
                if attempt + 1 == _HOLDS:
                    raise
                await self._clock.sleep(_PAUSE_SECONDS)
            else:
                return

    def _anew(self, sql: SqlConnection, table: MovedTable) -> list[str]:
        return [*self._source.stop_capture(table), *self._source.capture(sql, table)]

    async def _quiet(self, *, fresh: bool = False, may_clear: bool = False) -> None:
        """Let the target take rows in any order; a fresh one without those that its migrations have made."""

        def work(sql: SqlConnection) -> None:
            state = noted(sql)
            for table in self._tables if _CAPTURED in state else ():
                _run_all(sql, self._target.stop_capture(table))
            remember(sql, _CAPTURED, None)
            undo = msgspec.json.decode(state.get(_UNDO, "{}"), type=dict[str, list[str]])
            for kind, statements in self._target.quiet(sql).items():
                undo[kind] = [*undo.get(kind, []), *statements]
            remember(sql, _UNDO, msgspec.json.encode(undo).decode())
            if may_clear and (fresh or _PREPARED not in state):
                if sql.exec_driver_sql(_OUT_OF_USE).first() is not None:
                    _run_all(sql, self._target.accept(self._names))
                for table in self._tables:
                    sql.execute(table.table.delete())
                for name in state:
                    if name.startswith(_COPIED):
                        remember(sql, name, None)
                remember(sql, _PREPARED, "yes")

        await self._target.write(work)

    async def _copy(self) -> None:
        self._progress.enter(Phase.COPYING)
        copied = await self._target.write(noted)
        async with self._source.snapshot() as view:
            counts = {table.name: await view.run(partial(count, moved=table)) for table in self._tables}
        self._progress.total = sum(counts.values())
        for table in self._tables:
            if f"{_COPIED}{table.name}" in copied:
                self._progress.rows += counts[table.name]
            else:
                await self._copy_table(table)

    async def _copy_table(self, table: MovedTable) -> None:
        """Copy from the first key on: what an interrupted copy left is replaced row by row.

        Rows behind the key that is the last one now are noted when they come, and need not be copied.
        """
        async with self._source.snapshot() as view:
            last = await view.run(partial(last_key, moved=table))
        after, more = None, last is not None
        while more:
            async with self._source.snapshot() as view:
                # In the same moment as the rows: only then unique values cannot meet in the target.
                notes = await self._carry(view)
                rows = await view.run(partial(chunk_after, moved=table, after=after, last=last))
            more = len(rows) == ROWS_IN_A_CHUNK
            await self._target.write(partial(_replace, table=table, rows=rows))
            await self._forget(notes)
            if rows:
                after = table.key_of(rows[-1])
            self._progress.rows += len(rows)
        await self._target.write(lambda sql: remember(sql, f"{_COPIED}{table.name}", "yes"))

    async def _carry(self, view: View) -> list[str]:
        """Bring the target to the view's moment, as far as it was copied; returns what to run on the source after.

        Rows that changed are removed first, all of them, and then inserted as they are now: what is there in between is
        a part of one moment, so that nothing collides.
        """

        def work(sql: SqlConnection) -> list[tuple[MovedTable, list[int], list[Key], list[Row]]]:
            noted_keys = [(table, *changed_keys(sql, table)) for table in self._tables]
            return [(table, notes, keys, rows_of(sql, table, keys)) for table, notes, keys in noted_keys if notes]

        changes = await view.run(work)
        if not changes:
            return []

        def apply(sql: SqlConnection) -> None:
            for table, _, keys, _ in changes:
                remove(sql, table, keys)
            for table, _, _, rows in changes:
                insert(sql, table, rows)

        await self._target.write(apply)
        if self._verified:
            await self._compare([(table, keys, rows) for table, _, keys, rows in changes])
        self._progress.carried += sum(len(keys) for _, _, keys, _ in changes)
        return [
            f'delete from "{table.changes.name}" where sequence in ({", ".join(map(str, some))})'
            for table, notes, _, _ in changes
            for some in in_chunks(notes)
        ]

    async def _compare(self, changes: Sequence[tuple[MovedTable, list[Key], list[Row]]]) -> None:
        """What was carried over has to be there as it was meant."""
        async with self._target.snapshot() as there:
            for table, keys, rows in changes:
                found = await there.run(partial(rows_of, moved=table, keys=keys))
                if wrong := differing(table, rows, found):
                    raise ExtractionFailed(
                        f"table {table.name}: the row {spelled_key(wrong[0])} is not the same in the target "
                        f"({len(wrong)} such rows); its column types cannot hold what the source has"
                    )

    async def _forget(self, statements: Sequence[str]) -> None:
        if statements:
            await self._source.execute(statements)

    async def _round(self) -> None:
        async with self._source.snapshot() as view:
            statements = await self._carry(view)
        await self._forget(statements)

    async def _catch_up(self) -> None:
        """Until a round is so short that the last one, in which nothing more changes, may happen while units wait."""
        self._progress.enter(Phase.CATCHING_UP)
        for _ in range(_ROUNDS):
            began = self._clock.monotonic()
            await self._round()
            if self._clock.monotonic() - began <= _SHORT_SECONDS:
                return
        raise ExtractionFailed(
            f"rows change faster than they can follow: of {_ROUNDS} rounds none was shorter than {_SHORT_SECONDS:g} s; "
            "run it again when there is less to do"
        )

    async def _verify(self) -> None:
        """Compare checksums of everything, as it is at one moment; what changes later is compared as it follows."""
        self._progress.enter(Phase.VERIFYING)
        async with self._source.snapshot() as here:
            statements = await self._carry(here)
            for table in self._tables:
                ours = await here.run(partial(checksum, moved=table))
                async with self._target.snapshot() as there:
                    theirs = await there.run(partial(checksum, moved=table))
                if ours != theirs:
                    raise ExtractionFailed(
                        f"table {table.name}: {ours} in the source, {theirs} in the target; its column types cannot "
                        "hold what the source has"
                    )
                self._progress.verified[table.name] = str(ours)
        self._verified = True
        await self._forget(statements)

    async def _hold(self, switched: Callable[[], None], *, back: bool) -> None:
        self._progress.enter(Phase.HOLDING)
        began = self._clock.monotonic()
        async with self._source.hold(self._names) as hold:
            async with asyncio.timeout(LONGEST_HOLD_SECONDS):
                await self._carry(hold)
                await self._compare_counts(hold)
                numbers = await hold.run(self._source.numbers)
                await self._settle(numbers, capture=not back)
            await _to_its_end(self._switch(hold, switched, back=back))
            self._progress.held_seconds = round(self._clock.monotonic() - began, 3)

    async def _switch(self, hold: Hold, switched: Callable[[], None], *, back: bool) -> None:
        """The one moment in which the other database comes into force; not to be cancelled."""
        last = [each for table in self._tables for each in self._source.stop_capture(table)]
        last += self._source.refuse(self._names, self._identifier)
        if back:  # with this the old database is in force: the other one only has to hear of it
            await self._target.write(lambda sql: _run_all(sql, self._target.accept(self._names)))
            last.append(f"update {STATE} set value = '{GIVEN_UP}' where name = '{IDENTIFIER}'")
        try:
            await hold.commit(last)
        except Exception:
            if not (back or await self._was_left()):
                raise
        switched()
        self._progress.enter(Phase.SWITCHED)

    async def _was_left(self) -> bool:
        """Whether a commit that failed has happened all the same."""
        async with self._source.snapshot() as view:
            return await view.run(lambda sql: sql.exec_driver_sql(_OUT_OF_USE).first() is not None)

    async def _compare_counts(self, here: View) -> None:
        async with self._target.snapshot() as there:
            for table in self._tables:
                ours = await here.run(partial(count, moved=table))
                theirs = await there.run(partial(count, moved=table))
                if ours != theirs:
                    raise ExtractionFailed(f"table {table.name}: {ours} rows in the source, {theirs} in the target")

    async def _settle(self, numbers: Mapping[str, int], *, capture: bool) -> None:
        """Make the target what it would be had everything happened there; note from now on what changes there."""

        def work(sql: SqlConnection) -> None:
            self._target.number_on(sql, numbers)
            undo = msgspec.json.decode(noted(sql).get(_UNDO, "{}"), type=dict[str, list[str]])
            for statements in undo.values():
                _run_all(sql, statements)
            remember(sql, _UNDO, None)
            _run_all(sql, _note_move(self._identifier if capture else None))
            if capture:
                for table in self._tables:
                    _run_all(sql, self._target.capture(sql, table))
                remember(sql, _CAPTURED, "yes")

        await self._target.write(work)


def _replace(sql: SqlConnection, table: MovedTable, rows: Sequence[Row]) -> None:
    remove(sql, table, [table.key_of(row) for row in rows])
    insert(sql, table, rows)


async def give_up(source: Side, tables: Sequence[MovedTable]) -> None:
    """Forget a move that has not happened: the source notes no changes any more."""
    stop = [each for table in tables for each in source.stop_capture(table)]
    await source.execute([*stop, *_note_move(None)])


async def _to_its_end(work: Coroutine[Any, Any, None]) -> None:
    """Wait for `work` also when cancelled."""
    running, cancelled = asyncio.ensure_future(work), None
    while not running.done():
        try:
            await asyncio.wait([running])
        except asyncio.CancelledError as error:
            cancelled = error
    running.result()
    if cancelled is not None:
        raise cancelled


def _run_all(sql: SqlConnection, statements: Sequence[str]) -> None:
    for statement in statements:
        sql.exec_driver_sql(statement)


def _move_noted(sql: SqlConnection) -> Any:
    return sql.exec_driver_sql("select value from insula_meta where name = 'extraction'").scalar()


def _note_move(identifier: str | None) -> list[str]:
    forget = "delete from insula_meta where name = 'extraction'"
    note = f"insert into insula_meta values ('extraction', '{identifier}')"
    return [forget] if identifier is None else [forget, note]
