"""What waits in an outbox, as short functions on a connection, each within a transaction of its caller's."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, and_, delete, exists, func, insert, inspect, or_, select, update

from insula.kernel.clock import Clock
from insula.kernel.errors import ConfigurationError, InsulaError
from insula.messaging.outbox import BEHIND, DELAYED, DIALECTS, DROPPED, PARKED, SENT, WAITING, Outbox

_LEASE = 1
_HELD = (DELAYED, PARKED, BEHIND)
_ERROR_SHOWN = 2000
_PRUNED_AT_ONCE = 1000


class LeaseLost(InsulaError):
    """Another relay carries on what this one began."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A message of an outbox. Parameters: `message`, its CloudEvent; `attempts`, how often it has failed."""

    position: int
    key: str | None
    attempts: int
    message: bytes


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a message. Parameters: `due`, when it is tried again, where it is delayed."""

    position: int
    key: str | None
    state: str
    attempts: int = 0
    due: datetime | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """A message that could not be sent. Parameters: `behind`, how many of its key wait for it."""

    id: str
    type: str
    key: str | None
    state: str
    attempts: int
    due: datetime | None
    error: str
    behind: int


@dataclass(frozen=True, slots=True)
class Status:
    """What is in an outbox. Parameters: `counts`, state -> messages; `oldest`, when what waits longest was added."""

    counts: dict[str, int]
    oldest: datetime | None
    held: Sequence[Held]


class OutboxQueue:
    """Reads and changes the table of one outbox. One relay at a time may, who holds the lease."""

    def __init__(self, outbox: Outbox, clock: Clock) -> None:
        self.name = outbox.table.fullname
        self._table = outbox.table
        self._lease = outbox.lease
        self._clock = clock

    def check(self, connection: Connection) -> None:
        """Raise ConfigurationError where the tables are missing or the database is of another kind."""
        if connection.dialect.name not in DIALECTS:
            raise ConfigurationError(f"an Outbox is kept on PostgreSQL or SQLite, not on {connection.dialect.name}")
        found = inspect(connection)
        for table in (self._table, self._lease):
            if not found.has_table(table.name, schema=table.schema):
                raise ConfigurationError(
                    f"{connection.engine.url!r} has no table {table.fullname}: make it by your migrations, or by "
                    "metadata.create_all"
                )

    def acquire(self, connection: Connection, holder: str, seconds: float) -> int | None:
        """The right to send, if nobody has it: its token, greater than any before. None while another holds it."""
        lease = self._lease
        now, until = self._now_and_in(connection, seconds)
        if connection.execute(select(lease.c.number)).first() is None:
            first = insert(lease).values(number=_LEASE, holder="", token=0, until=datetime(2000, 1, 1, tzinfo=UTC))
            connection.execute(first)
        mine = {"holder": holder, "token": lease.c.token + 1, "until": until}
        if connection.execute(update(lease).where(lease.c.until < now).values(mine)).rowcount == 0:
            return None
        return int(connection.execute(select(lease.c.token)).scalar_one())

    def renew(self, connection: Connection, token: int, seconds: float) -> None:
        """Hold on to the right; first in each transaction that changes something. Raises `LeaseLost`."""
        lease, (_, until) = self._lease, self._now_and_in(connection, seconds)
        renewed = update(lease).where(lease.c.token == token, lease.c.holder != "").values(until=until)
        if connection.execute(renewed).rowcount == 0:
            raise LeaseLost(f"{self.name}: another relay has taken over")

    def release(self, connection: Connection, token: int) -> None:
        """Let another relay go on at once."""
        lease = self._lease
        given_back = {"holder": "", "until": datetime(2000, 1, 1, tzinfo=UTC)}
        connection.execute(update(lease).where(lease.c.token == token).values(given_back))

    def _now_and_in(self, connection: Connection, seconds: float) -> tuple[Any, Any]:
        """By the database's clock, which all relays share; on SQLite they are on one machine."""
        is_sqlite = connection.dialect.name == "sqlite"
        now = self._clock.now() if is_sqlite else func.clock_timestamp()
        return now, now + timedelta(seconds=seconds)

    def read(self, connection: Connection, limit: int) -> tuple[Sequence[Waiting], bool]:
        """What is to be sent next, and whether there may be more: what is due again, then what waits, in order.

        What has to stay behind a held message of its key is set aside. Always from the first that waits: a transaction
        that commits late may have an earlier position than others that were sent already.
        """
        table = self._table
        query = select(*self._columns()).where(table.c.state == WAITING).order_by(table.c.position).limit(limit)
        page = [_waiting(row) for row in connection.execute(query)]
        held = self._held_keys(connection, {each.key for each in page if each.key is not None})
        behind = [each.position for each in page if each.key in held]
        if behind:
            connection.execute(update(table).where(table.c.position.in_(behind)).values(state=BEHIND))
        waiting = [each for each in page if each.key not in held]
        return [*self._due(connection, limit), *waiting], len(page) == limit

    def _columns(self) -> tuple[Any, ...]:
        columns = self._table.c
        return columns.position, columns.key, columns.attempts, columns.message

    def _due(self, connection: Connection, limit: int) -> list[Waiting]:
        table = self._table
        query = select(*self._columns()).where(table.c.state == DELAYED, table.c.due_at <= self._clock.now())
        return [_waiting(row) for row in connection.execute(query.order_by(table.c.due_at).limit(limit))]

    def _held_keys(self, connection: Connection, keys: Collection[str]) -> set[str]:
        if not keys:
            return set()
        table = self._table
        query = select(table.c.key).distinct().where(table.c.key.in_(keys), table.c.state.in_(_HELD))
        return set(connection.execute(query).scalars())

    def settle(self, connection: Connection, verdicts: Sequence[Verdict]) -> None:
        """Store what became of messages; what stayed behind one that is no longer held waits again."""
        table, now = self._table, self._clock.now()
        sent = [each.position for each in verdicts if each.state == SENT]
        if sent:
            connection.execute(update(table).where(table.c.position.in_(sent)).values(state=SENT, sent_at=now))
        for each in verdicts:
            if each.state != SENT:
                error = None if each.error is None else each.error[:_ERROR_SHOWN]
                change = {
                    "state": each.state, "attempts": each.attempts, "due_at": each.due, "error": error,
                    "sent_at": now if each.state == DROPPED else None,
                }  # fmt: skip
                connection.execute(update(table).where(table.c.position == each.position).values(change))
        freed = {each.key for each in verdicts if each.state in (SENT, DROPPED) and each.key is not None}
        if freed:
            self._release(connection, table.c.key.in_(freed))

    def free(self, connection: Connection) -> int:
        """Let what stayed behind a message that somebody has dropped wait again; returns how many."""
        return self._release(connection)

    def _release(self, connection: Connection, *only: Any) -> int:
        table, head = self._table, self._table.alias()
        holds = exists().where(head.c.key == table.c.key, head.c.state.in_((DELAYED, PARKED)))
        freed = update(table).where(table.c.state == BEHIND, ~holds, *only).values(state=WAITING)
        return connection.execute(freed).rowcount

    def prune(self, connection: Connection, kept: timedelta) -> int:
        """Delete the oldest of what was sent that long ago; returns how many. Some are left where there are many."""
        table = self._table
        old = select(table.c.position).where(
            table.c.state.in_((SENT, DROPPED)), table.c.sent_at < self._clock.now() - kept
        )
        return connection.execute(
            delete(table).where(table.c.position.in_(old.order_by(table.c.sent_at).limit(_PRUNED_AT_ONCE)))
        ).rowcount

    def status(self, connection: Connection, limit: int = 100) -> Status:
        """What waits, and the first of what could not be sent."""
        table = self._table
        counts: dict[str, int] = dict.fromkeys((WAITING, DELAYED, PARKED, BEHIND), 0)
        unsent = or_(table.c.state == WAITING, table.c.state.in_(_HELD))
        query = select(table.c.state, func.count(), func.min(table.c.added_at)).where(unsent).group_by(table.c.state)
        oldest: list[datetime] = []
        for state, count, since in connection.execute(query):
            counts[state] = count
            oldest.append(_aware(since))
        return Status(counts, min(oldest, default=None), self._first_held(connection, limit))

    def _first_held(self, connection: Connection, limit: int) -> list[Held]:
        table, other = self._table, self._table.alias()
        behind = select(func.count()).where(other.c.key == table.c.key, other.c.state == BEHIND).scalar_subquery()
        columns = [table.c[name] for name in ("id", "type", "key", "state", "attempts", "due_at", "error")]
        query = select(*columns, behind).where(table.c.state.in_((DELAYED, PARKED)))
        rows = connection.execute(query.order_by(table.c.position).limit(limit))
        return [_held(*tuple(row)) for row in rows]

    def retry(self, connection: Connection, message_id: str) -> int:
        """Let a held message, or with "all" each of them, be tried again at once; returns how many."""
        change = {"state": DELAYED, "due_at": self._clock.now()}
        return connection.execute(update(self._table).where(self._is_held(message_id)).values(change)).rowcount

    def drop(self, connection: Connection, message_id: str) -> int:
        """Give a held message up for good, or with "all" each of them; what stayed behind goes on. Returns how many."""
        change = {"state": DROPPED, "sent_at": self._clock.now()}
        return connection.execute(update(self._table).where(self._is_held(message_id)).values(change)).rowcount

    def _is_held(self, message_id: str) -> Any:
        held = self._table.c.state.in_((DELAYED, PARKED))
        return held if message_id == "all" else and_(held, self._table.c.id == message_id)


def _waiting(row: Any) -> Waiting:
    return Waiting(row.position, row.key, row.attempts, row.message.encode())


def _held(
    message_id: str, type_: str, key: str | None, state: str, attempts: int, due: datetime | None, error: str | None,
    behind: int,
) -> Held:  # fmt: skip
    return Held(message_id, type_, key, state, attempts, due and _aware(due), error or "", behind)


def _aware(moment: datetime) -> datetime:
    """SQLite keeps no time zone; what it was given was UTC."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
