"""Reads of the framework's own tables, by the driver alone, for there are many of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from insula.adapters.postgres.group_commit import GroupCommit
from insula.adapters.postgres.reader import Reader
from insula.adapters.postgres.tables import (
    ANSWERED,
    LOG_COLUMNS,
    PARKED_COLUMNS,
    TIMER_COLUMNS,
    answer_of,
    envelope_of,
    parked_of,
    timer_of,
)  # fmt: skip
from insula.messages import Envelope
from insula.store.database import Answer, Mark, Parked, ParkedState, Timer
from insula.store.log import Lag

_FIRST = "select coalesce(min(position), 0) from insula_log"
_HEAD = "select coalesce(max(position), 0) from insula_log"
_AFTER = f"select {LOG_COLUMNS} from insula_log where position > $1 order by position limit $2"
_AFTER_OF_TYPES = (
    f"select {LOG_COLUMNS} from insula_log where position > $1 and type = any($3::text[]) order by position limit $2"
)
_COUNT = "select count(*) from insula_log where position > $1 and type = any($2::text[])"
_CURSOR = "select position from insula_cursor where name = $1"
_KEYS = "select distinct consumer, source, key from insula_parked"
# Only the head of a key may run: the rows behind it wait their turn. Rows of consumers that are gone must not stand
# before those that can run.
_HEADS_WAITING = (
    f"select {PARKED_COLUMNS} from insula_parked p where sequence = (select min(sequence) from insula_parked q"
    " where q.consumer = p.consumer and q.source = p.source and q.key = p.key)"
    " and state = 'waiting' and consumer = any($1::text[])"
)
_DUE = f"{_HEADS_WAITING} and due <= $2 order by due, sequence limit $3"
_NEXT_PARKED = f"select min(due) from ({_HEADS_WAITING}) as heads where due > $2"
_HEAD_OF_KEY = (
    f"select {PARKED_COLUMNS} from insula_parked where consumer = $1 and source = $2 and key = $3"
    " order by sequence limit 1"
)
_PARKED_COUNTS = "select state, count(*) from insula_parked group by state"
_PARKED = f"select {PARKED_COLUMNS} from insula_parked order by sequence limit $1"
PARKED_ALL = f"select {PARKED_COLUMNS} from insula_parked order by sequence"
_DEAD = f"select {PARKED_COLUMNS} from insula_parked where state = 'dead' order by sequence limit $1"
_CHOSEN = f"select {PARKED_COLUMNS} from insula_parked where sequence = any($1::bigint[]) order by sequence"
_TIMERS_DUE = f"select {TIMER_COLUMNS} from insula_timer where due <= $1 order by due, sequence limit $2"
_NEXT_TIMER = "select min(due) from insula_timer"
_NEXT_ONCE = "select min(due) from insula_timer where schedule = ''"
_RECURRING = f"select {TIMER_COLUMNS} from insula_timer where schedule <> ''"

_LAG = (
    "select (select count(*) from insula_outgoing), extract(epoch from clock_timestamp() - xact_start),"
    " format('process %s (%s, %s)', pid, coalesce(nullif(application_name, ''), 'no name'), state)"
    " from (values (1)) as one left join lateral (select * from pg_stat_activity where datname = current_database()"
    " and pid <> pg_backend_pid() and xact_start is not null order by xact_start limit 1) as oldest on true"
)

_LONG_AGO = datetime.min.replace(tzinfo=UTC)


class Queries:
    """What the framework asks a module's database."""

    _name: str
    _reader: Reader
    _group: GroupCommit
    _head: int | None
    """The log's last position, where this process knows it: it is asked for much more often than it changes."""

    async def _first(self, sql: str, *arguments: Any) -> Any:
        rows = await self._reader.fetch(sql, *arguments)
        return rows[0] if rows else None

    async def answer_of(self, mark: Mark) -> Answer | None:
        """What was answered to a message before, if it was taken."""
        row = await self._first(ANSWERED, mark.consumer, mark.message_id)
        return None if row is None else answer_of(row)

    async def log_after(self, position: int, types: Collection[str], limit: int) -> Sequence[Envelope]:
        """The log after a position, of the given types only; of all types when there are none."""
        await self._group.numbered()
        if types:
            rows = await self._reader.fetch(_AFTER_OF_TYPES, position, limit, sorted(types))
        else:
            rows = await self._reader.fetch(_AFTER, position, limit)
        return [envelope_of(row, self._name) for row in rows]

    async def log_count(self, position: int, types: Collection[str]) -> int:
        """How many messages of the given types the log has after a position."""
        await self._group.numbered()
        return int((await self._first(_COUNT, position, sorted(types)))[0])

    async def log_first(self) -> int:
        """The first position of the log that was not pruned; 0 while it is empty."""
        await self._group.numbered()
        return int((await self._first(_FIRST))[0])

    async def log_head(self) -> int:
        """The last position of the log; 0 while it is empty."""
        await self._group.numbered()
        if self._head is None:
            head = int((await self._first(_HEAD))[0])
            # What was appended meanwhile is known already, and greater.
            self._head = head if self._head is None else max(head, self._head)
        return self._head

    async def lag(self) -> Lag:
        """How far the log is behind what is committed."""
        unnumbered, seconds, who = await self._first(_LAG)
        return Lag(unnumbered, 0.0) if seconds is None else Lag(unnumbered, float(seconds), who)

    async def cursor(self, name: str) -> int | None:
        """A remembered position, None where none was."""
        row = await self._first(_CURSOR, name)
        return None if row is None else int(row[0])

    async def parked_keys(self) -> Collection[tuple[str, str, str]]:
        """Every (consumer, source, key) that has parked messages."""
        return {(consumer, source, key) for consumer, source, key in await self._reader.fetch(_KEYS)}

    async def parked_due(self, consumers: Collection[str], now: datetime, limit: int) -> Sequence[Parked]:
        """Heads of their key, of these consumers, whose next attempt is due."""
        return [parked_of(row) for row in await self._reader.fetch(_DUE, sorted(consumers), now, limit)]

    async def parked_next(self, consumers: Collection[str], after: datetime | None = None) -> datetime | None:
        """When the next attempt of these consumers is due: of all, or of those that are due after a moment."""
        due: datetime | None = (await self._first(_NEXT_PARKED, sorted(consumers), after or _LONG_AGO))[0]
        return due

    async def parked_of(self, consumer: str, source: str, key: str) -> Parked | None:
        """The head of one key."""
        row = await self._first(_HEAD_OF_KEY, consumer, source, key)
        return None if row is None else parked_of(row)

    async def parked_counts(self) -> Mapping[ParkedState, int]:
        """How many messages are parked, by state."""
        return {ParkedState(state): count for state, count in await self._reader.fetch(_PARKED_COUNTS)}

    async def parked_list(self, *, dead_only: bool, limit: int) -> Sequence[Parked]:
        """Parked messages in the order they were parked."""
        return [parked_of(row) for row in await self._reader.fetch(_DEAD if dead_only else _PARKED, limit)]

    async def parked_chosen(self, sequences: Collection[int]) -> Sequence[Parked]:
        """The parked messages with these numbers."""
        return [parked_of(row) for row in await self._reader.fetch(_CHOSEN, sorted(sequences))]

    async def timers_due(self, now: datetime, limit: int) -> Sequence[Timer]:
        """Timers whose time has come."""
        return [timer_of(row) for row in await self._reader.fetch(_TIMERS_DUE, now, limit)]

    async def timers_next(self, *, once: bool = False) -> datetime | None:
        """When the next timer is due; with `once`, the next that does not come again by itself."""
        due: datetime | None = (await self._first(_NEXT_ONCE if once else _NEXT_TIMER))[0]
        return due

    async def timers_recurring(self) -> Sequence[Timer]:
        """The timers of recurring declarations."""
        return [timer_of(row) for row in await self._reader.fetch(_RECURRING)]
