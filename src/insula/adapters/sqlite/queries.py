"""Reads of the framework's own tables, on the reader's connection: by the driver alone, for there are many of them."""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from insula.adapters.sqlite.reader import Reader
from insula.adapters.sqlite.tables import (
    LOG_COLUMNS,
    BookKeeping,
    answer_of,
    envelope_of,
    parked_of,
    timer_of,
    timestamp,
)  # fmt: skip
from insula.adapters.sqlite.unit import SqliteUnit
from insula.adapters.sqlite.writer import Writer
from insula.messages import Envelope
from insula.store.database import Answer, Mark, Parked, ParkedState, Scope, Timer, Unit

_FIRST = "select coalesce(min(position), 0) from insula_log"
_HEAD = "select coalesce(max(position), 0) from insula_log"
_AFTER = f"select {LOG_COLUMNS} from insula_log where position > :position order by position limit :limit"
_AFTER_OF_TYPES = (
    f"select {LOG_COLUMNS} from insula_log where position > :position and type in :types order by position limit :limit"
)
_COUNT = "select count(*) from insula_log where position > :position and type in :types"
_ANSWER = "select outcome, answer, fingerprint from insula_inbox where consumer = :consumer and message_id = :id"
_CURSOR = "select position from insula_cursor where name = :name"
_KEYS = "select distinct consumer, source, key from insula_parked"
# Only the head of a key may run: the rows behind it wait their turn.
_HEADS = (
    "select * from insula_parked p where sequence = (select min(sequence) from insula_parked q"
    " where q.consumer = p.consumer and q.source = p.source and q.key = p.key)"
)
# Rows of consumers that are gone must not stand before those that can run.
_HEADS_WAITING = f"{_HEADS} and state = 'waiting' and consumer in :consumers"
_DUE = f"{_HEADS_WAITING} and due <= :now order by due, sequence limit :limit"
_NEXT_PARKED = f"select min(due) from ({_HEADS_WAITING}) where due > :after"
_HEAD_OF_KEY = (
    "select * from insula_parked where consumer = :consumer and source = :source and key = :key"
    " order by sequence limit 1"
)
_PARKED_COUNTS = "select state, count(*) as number from insula_parked group by state"
_PARKED = "select * from insula_parked order by sequence limit :limit"
_CHOSEN = "select * from insula_parked where sequence in :sequences order by sequence"
_DEAD = "select * from insula_parked where state = 'dead' order by sequence limit :limit"
_TIMERS_DUE = (
    "select identifier, due, schedule, envelope from insula_timer where due <= :now order by due, sequence limit :limit"
)
_NEXT_TIMER = "select min(due) from insula_timer"
_NEXT_ONCE = "select min(due) from insula_timer where schedule = ''"
_RECURRING = "select identifier, due, schedule, envelope from insula_timer where schedule <> ''"

# How others ended than well is all that an operator can find, so it is kept as long as answers. What is parked comes
# again whatever its position, though it may have been handled: the parking can be stored and be reported as failed.
_PRUNE_MARKS = (
    "delete from insula_inbox where (consumer, message_id) in (select consumer, message_id from insula_inbox as i"
    " where source = :source and position > 0 and position <= :position and (outcome = 'done' or time < :before)"
    " and not exists (select 1 from insula_parked as p where p.consumer = i.consumer and p.message_id = i.message_id)"
    " limit :limit) -- insula"
)
_PRUNE_ANSWERS = (
    "delete from insula_inbox where (consumer, message_id) in (select consumer, message_id from insula_inbox"
    " where position = 0 and time < :before limit :limit) -- insula"
)
# The last row stays: its position is what the next one is counted from. Time grows with the position, so where the
# first rows are too young the others are not looked at: this runs in the writer's turn, on the loop.
_PRUNE_LOG = (
    "delete from insula_log where position in (select position from (select position, time from insula_log"
    " where position <= :below and stream is null order by position limit :limit)"
    " where time < :before and position < (select max(position) from insula_log)) -- insula"
)


@functools.cache
def _expanded(statement: str, name: str, count: int) -> str:
    """The statement with so many parameters in place of the list `name`."""
    places = ", ".join(f":{name}{number}" for number in range(count))
    return statement.replace(f":{name}", f"({places})")


class Queries:
    """What the framework asks a module's database."""

    _name: str
    _reader: Reader
    _writer: Writer
    _tables: BookKeeping
    _appends: int
    """Commits that have appended to the log."""
    _head: tuple[int, int]
    """The log's last position, after how many appends: it is asked for much more often than it changes."""

    async def _rows(self, statement: str, **parameters: Any) -> Sequence[Any]:
        """Rows of a statement; a parameter that is a list stands for all of its values: `in :types`."""
        for name, values in [(name, value) for name, value in parameters.items() if isinstance(value, list)]:
            statement = _expanded(statement, name, len(values))
            parameters.update((f"{name}{number}", value) for number, value in enumerate(values))
            del parameters[name]
        return await self._reader.fetch(statement, parameters)

    async def _first(self, statement: str, **parameters: Any) -> Any:
        rows = await self._rows(statement, **parameters)
        return rows[0] if rows else None

    async def answer_of(self, mark: Mark) -> Answer | None:
        """What was answered to a message before, if it was taken."""
        row = await self._first(_ANSWER, consumer=mark.consumer, id=mark.message_id)
        return None if row is None else answer_of(row)

    async def log_after(self, position: int, types: Collection[str], limit: int) -> Sequence[Envelope]:
        """The log after a position, of the given types only; of all types when there are none."""
        if types:
            rows = await self._rows(_AFTER_OF_TYPES, position=position, types=sorted(types), limit=limit)
        else:
            rows = await self._rows(_AFTER, position=position, limit=limit)
        return [envelope_of(row, self._name) for row in rows]

    async def log_count(self, position: int, types: Collection[str]) -> int:
        """How many messages of the given types the log has after a position."""
        return int((await self._first(_COUNT, position=position, types=sorted(types)))[0])

    async def log_first(self) -> int:
        """The first position of the log that was not pruned; 0 while it is empty."""
        return int((await self._first(_FIRST))[0])

    async def log_head(self) -> int:
        """The last position of the log; 0 while it is empty."""
        if self._head[0] != self._appends:
            appends = self._appends  # before the read: what is appended meanwhile may not be seen
            self._head = appends, int((await self._first(_HEAD))[0])
        return self._head[1]

    async def cursor(self, name: str) -> int | None:
        """A remembered position, None where none was."""
        row = await self._first(_CURSOR, name=name)
        return None if row is None else int(row[0])

    async def parked_keys(self) -> Collection[tuple[str, str, str]]:
        """Every (consumer, source, key) that has parked messages."""
        return {(consumer, source, key) for consumer, source, key in await self._rows(_KEYS)}

    async def parked_due(self, consumers: Collection[str], now: datetime, limit: int) -> Sequence[Parked]:
        """Heads of their key, of these consumers, whose next attempt is due."""
        rows = await self._rows(_DUE, consumers=sorted(consumers), now=timestamp(now), limit=limit)
        return [parked_of(row) for row in rows]

    async def parked_next(self, consumers: Collection[str], after: datetime | None = None) -> datetime | None:
        """When the next attempt of these consumers is due: of all, or of those that are due after a moment."""
        since = "" if after is None else timestamp(after)
        row = await self._first(_NEXT_PARKED, consumers=sorted(consumers), after=since)
        return None if row[0] is None else datetime.fromisoformat(row[0])

    async def parked_of(self, consumer: str, source: str, key: str) -> Parked | None:
        """The head of one key."""
        row = await self._first(_HEAD_OF_KEY, consumer=consumer, source=source, key=key)
        return None if row is None else parked_of(row)

    async def parked_counts(self) -> Mapping[ParkedState, int]:
        """How many messages are parked, by state."""
        return {ParkedState(state): count for state, count in await self._rows(_PARKED_COUNTS)}

    async def parked_list(self, *, dead_only: bool, limit: int) -> Sequence[Parked]:
        """Parked messages in the order they were parked."""
        rows = await self._rows(_DEAD if dead_only else _PARKED, limit=limit)
        return [parked_of(row) for row in rows]

    async def parked_chosen(self, sequences: Collection[int]) -> Sequence[Parked]:
        """The parked messages with these numbers."""
        return [parked_of(row) for row in await self._rows(_CHOSEN, sequences=sorted(sequences))]

    async def timers_due(self, now: datetime, limit: int) -> Sequence[Timer]:
        """Timers whose time has come."""
        return [timer_of(row) for row in await self._rows(_TIMERS_DUE, now=timestamp(now), limit=limit)]

    async def timers_next(self, *, once: bool = False) -> datetime | None:
        """When the next timer is due; with `once`, the next that does not come again by itself."""
        row = await self._first(_NEXT_ONCE if once else _NEXT_TIMER)
        return None if row[0] is None else datetime.fromisoformat(row[0])

    async def timers_recurring(self) -> Sequence[Timer]:
        """The timers of recurring declarations."""
        return [timer_of(row) for row in await self._rows(_RECURRING)]

    async def perform(self, body: Any, scope: Scope) -> Any:
        """Run a unit of work."""
        raise NotImplementedError

    async def prune(
        self, *, marks: dict[str, int], answers_before: datetime, log_below: int, log_before: datetime, limit: int
    ) -> int:
        """Delete marks no redelivery can need (per source, up to a position), answers and log rows past retention."""

        async def body(unit: Unit) -> int:
            await unit.turn()
            if not isinstance(unit, SqliteUnit):
                return 0  # the data has moved meanwhile, and what is old there goes with the next round
            statement = self._writer.statement
            deleted, old = 0, {"before": timestamp(answers_before), "limit": limit}
            for source, position in marks.items():
                deleted += statement(_PRUNE_MARKS, {**old, "source": source, "position": position}).rowcount
            deleted += statement(_PRUNE_ANSWERS, old).rowcount
            values = {"below": log_below, "before": timestamp(log_before), "limit": limit}
            return deleted + statement(_PRUNE_LOG, values).rowcount

        deleted: int = await self.perform(body, Scope(f"{self._name}: pruning"))
        return deleted
