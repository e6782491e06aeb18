"""Pruning runs in the writer's turn, so it must not take long."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from support.notes import OpenDatabase

NOW = datetime(2030, 1, 1, tzinfo=UTC)
ROWS = 5000
FILLED = """
insert into insula_log (message_id, kind, type, schema_version, headers, data, time)
with recursive n(i) as (select 1 union all select i + 1 from n where i < :rows)
select 'm' || i, 'event', 'Went', 1, '{}', '{}', case when i <= :old then :long_ago else :now end from n -- test
"""


@pytest.mark.parametrize(("old", "deleted"), [(0, 0), (3, 3), (ROWS, 10)])
async def test_pruning_looks_at_no_more_rows_of_the_log_than_it_may_delete(
    open_database: OpenDatabase, old: int, deleted: int
) -> None:
    steps = 0

    def count() -> None:
        nonlocal steps
        steps += 100

    async with open_database() as database:
        times = {"now": NOW.isoformat(), "long_ago": (NOW - timedelta(days=2)).isoformat()}
        database._writer.statement(FILLED, {"rows": ROWS, "old": old, **times})
        arguments: dict[str, Any] = {"answers_before": NOW, "log_before": NOW - timedelta(days=1)}
        database._connection.set_progress_handler(count, 100)
        assert await database.prune(marks={}, log_below=ROWS, limit=10, **arguments) == deleted
        assert steps < ROWS
