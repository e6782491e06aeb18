"""What Insula keeps in a module's database, as short statements on a connection, inside a transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from insula.messages import Envelope
from insula.store.database import Answer, Mark, Outcome, Parked, ParkedState, Timer
from insula.store.envelopes import decode_envelope, decode_headers, encode_envelope, headers_of, parking_key

LOG_COLUMNS = "position, message_id, kind, type, schema_version, key, headers, data, time"
PARKED_COLUMNS = "sequence, consumer, source, key, envelope, attempts, due, state, error, since"
TIMER_COLUMNS = "identifier, due, schedule, envelope"

MARK = (
    "insert into insula_inbox values ($1, $2, $3, $4, $5, 'done', '', $6)"
    " on conflict (consumer, message_id) do nothing returning ctid"
)
# By its place, since looking for the row would be a read of the inbox, which serializable transactions collide over.
ANSWER = "update insula_inbox set outcome = $2, answer = $3 where ctid = $1"
ANSWERED = "select outcome, answer, fingerprint from insula_inbox where consumer = $1 and message_id = $2"
# Marks of a whole batch, with their answers; those that were there before do not come back.
MARKS = (
    "insert into insula_inbox select u.consumer, u.id, u.source, u.position, u.fingerprint, u.outcome, u.answer, $8"
    " from unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::text[])"
    " as u(consumer, id, source, position, fingerprint, outcome, answer)"
    " on conflict (consumer, message_id) do nothing returning consumer, message_id"
)
_ROWS = "$1::text[], $2::text[], $3::text[], $4::integer[], $5::text[], $6::text[], $7::text[], $8::timestamptz[]"
STAGE = f"select insula_stage({_ROWS})"
APPEND = f"select head, moved, moved_types from insula_append({_ROWS})"

_PARK = (
    "insert into insula_parked (consumer, source, key, message_id, envelope, attempts, due, state, error, since)"
    " select $1, $2, $3, $4, $5, $6, $7, 'waiting', $8, $9 where not exists"
    " (select 1 from insula_inbox where consumer = $1 and message_id = $4)"
    " on conflict (consumer, message_id) do nothing"
)
_REPARK = "update insula_parked set attempts = $1, due = $2, state = $3, error = $4 where sequence = $5"
_BURY = "update insula_parked set state = 'dead' where consumer = $1 and message_id = $2"
_TIMER = (
    "insert into insula_timer (identifier, due, schedule, envelope) values ($1, $2, $3, $4)"
    " on conflict (identifier) do update set due = excluded.due, schedule = excluded.schedule,"
    " envelope = excluded.envelope, sequence = default"
)
_CURSOR = "insert into insula_cursor values ($1, $2) on conflict (name) do update set position = excluded.position"
_NEW_CURSOR = "insert into insula_cursor values ($1, $2) on conflict (name) do nothing"
_CLOSE = (
    "insert into insula_inbox values ($1, $2, $3, $4, $5, $6, '', $7) on conflict (consumer, message_id) do nothing"
)

FENCE = "select insula_fence($1, $2)"


class Operation(NamedTuple):
    """One statement of the framework's, to be run in whichever transaction the unit ends up in."""

    sql: str
    arguments: tuple[Any, ...]


def fence(name: str, token: int) -> Operation:
    """Let the transaction fail when somebody else has taken a lease since."""
    return Operation(FENCE, (name, token))


def mark_row(mark: Mark, now: datetime) -> tuple[Any, ...]:
    """The arguments of `MARK`."""
    return (mark.consumer, mark.message_id, mark.source, mark.position, mark.fingerprint, now)


def rows_of(envelopes: Iterable[Envelope]) -> tuple[list[Any], ...]:
    """The arguments of `STAGE` and `APPEND`: a column each."""
    columns: tuple[list[Any], ...] = ([], [], [], [], [], [], [], [])
    ids, kinds, types, versions, keys, headers, data, times = columns
    for each in envelopes:
        ids.append(each.id)
        kinds.append(each.kind)
        types.append(each.type)
        versions.append(each.version)
        keys.append(each.subject)
        headers.append(headers_of(each))
        data.append(each.data.decode())
        times.append(each.time)
    return columns


def park(consumer: str, envelope: Envelope, attempts: int, due: datetime, error: str, now: datetime) -> Operation:
    """Set a message aside, unless it is parked or was taken already."""
    row = (
        consumer, envelope.source, parking_key(envelope), envelope.id, encode_envelope(envelope), attempts, due,
        _without_nul(error), now,
    )  # fmt: skip
    return Operation(_PARK, row)


def repark(sequence: int, attempts: int, due: datetime, state: ParkedState, error: str) -> Operation:
    """Change the next attempt of a parked message."""
    return Operation(_REPARK, (attempts, due, state.value, _without_nul(error), sequence))


def bury(consumer: str, message_id: str) -> Operation:
    """Make a parked message a dead letter."""
    return Operation(_BURY, (consumer, message_id))


def rename_consumer(before: str, after: str) -> list[Operation]:
    """Hand marks and parked messages of one consumer to another."""
    tables = ("insula_inbox", "insula_parked")
    return [Operation(f"update {table} set consumer = $1 where consumer = $2", (after, before)) for table in tables]


def unpark(sequence: int) -> Operation:
    """Forget a parked message."""
    return Operation("delete from insula_parked where sequence = $1", (sequence,))


def save_cursor(name: str, position: int) -> Operation:
    """Remember a position."""
    return Operation(_CURSOR, (name, position))


def begin_cursor(name: str, position: int) -> Operation:
    """Remember a position, unless there is one of that name."""
    return Operation(_NEW_CURSOR, (name, position))


def save_timer(timer: Timer) -> Operation:
    """Insert or replace a timer."""
    return Operation(_TIMER, (timer.identifier, timer.due, timer.schedule, encode_envelope(timer.envelope)))


def remove_timers(identifiers: Collection[str]) -> Operation:
    """Delete timers."""
    return Operation("delete from insula_timer where identifier = any($1::text[])", (sorted(identifiers),))


def close(mark: Mark, outcome: Outcome, now: datetime) -> Operation:
    """Mark a message as ended without its handler."""
    *row, _ = mark_row(mark, now)
    return Operation(_CLOSE, (*row, outcome.value, now))


def mark_columns(marks: Sequence[tuple[Mark, Answer]], now: datetime) -> tuple[Any, ...]:
    """The arguments of `MARKS`."""
    return (
        [mark.consumer for mark, _ in marks], [mark.message_id for mark, _ in marks],
        [mark.source for mark, _ in marks], [mark.position for mark, _ in marks],
        [mark.fingerprint for mark, _ in marks], [answer.outcome.value for _, answer in marks],
        [answer.body.decode() for _, answer in marks], now,
    )  # fmt: skip


def _without_nul(text: str) -> str:
    """PostgreSQL's texts hold every character but this one, and what failed must be stored all the same."""
    return text.replace("\x00", "\\x00")


def envelope_of(row: Any, source: str) -> Envelope:
    """A row of `LOG_COLUMNS` as an envelope."""
    position, message_id, kind, type_, version, key, headers, data, time = row
    known = decode_headers(headers)
    return Envelope(
        id=message_id, source=source, type=type_, kind=kind, version=version, subject=key, time=time,
        data=data.encode(), correlation_id=known.correlation_id, causation_id=known.causation_id,
        traceparent=known.traceparent, caller=known.caller, position=position, expires_at=known.expires_at,
    )  # fmt: skip


def parked_of(row: Any) -> Parked:
    """A row of `PARKED_COLUMNS` as a value."""
    sequence, consumer, source, key, envelope, attempts, due, state, error, since = row
    return Parked(
        sequence, consumer, source, key, decode_envelope(envelope), attempts, due, ParkedState(state), error, since
    )


def timer_of(row: Any) -> Timer:
    """A row of `TIMER_COLUMNS` as a value."""
    identifier, due, schedule, envelope = row
    return Timer(identifier, due, decode_envelope(envelope), schedule)


def answer_of(row: Any) -> Answer:
    """A row (outcome, answer, fingerprint) as a value."""
    outcome, body, fingerprint = row
    return Answer(Outcome(outcome), body.encode(), fingerprint)
