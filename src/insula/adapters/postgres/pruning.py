"""Deletes what nothing can need any more, a few rows at a time."""

from __future__ import annotations

from datetime import datetime

from insula.adapters.postgres.link import Link

# How others ended than well is all that an operator can find, so it is kept as long as answers. What is parked comes
# again whatever its position, though it may have been handled: the parking can be stored and be reported as failed.
_MARKS = (
    "delete from insula_inbox where (consumer, message_id) in (select consumer, message_id from insula_inbox as i"
    " where source = $1 and position > 0 and position <= $2 and (outcome = 'done' or time < $3) and not exists"
    " (select 1 from insula_parked as p where p.consumer = i.consumer and p.message_id = i.message_id) limit $4)"
)
_ANSWERS = (
    "delete from insula_inbox where (consumer, message_id) in (select consumer, message_id from insula_inbox"
    " where position = 0 and time < $1 limit $2)"
)
# The last row stays: its position is what the next one is counted from. Time grows with the position, so where the
# first rows are too young the others are not looked at.
_LOG = (
    "delete from insula_log where position in (select position from (select position, time from insula_log"
    " where position <= $1 and stream is null order by position limit $3) as oldest"
    " where time < $2 and position < (select max(position) from insula_log))"
)


async def prune(
    link: Link, *, marks: dict[str, int], answers_before: datetime, log_below: int, log_before: datetime, limit: int
) -> int:
    """Delete marks no redelivery can need (per source, up to a position), answers and log rows past retention.

    Each statement is a transaction of its own; returns how many rows went.
    """
    execute, done = link.connection.execute, []
    for source, position in marks.items():
        done.append(await execute(_MARKS, source, position, answers_before, limit))
    done.append(await execute(_ANSWERS, answers_before, limit))
    done.append(await execute(_LOG, log_below, log_before, limit))
    return sum(int(status.rpartition(" ")[2]) for status in done)
