"""What user SQL may not do inside a unit, told from its text."""

from __future__ import annotations

import pytest

from insula.adapters.postgres.statements import denied


@pytest.mark.parametrize(
    "statement",
    [
        "commit", "  ROLLBACK", "-- a comment\nend", "/* a\ncomment */ abort", "start transaction", "savepoint a",
        "release savepoint a", "set search_path = x", "set session role other", "reset all", "discard all",
        "listen somebody", "prepare x as select 1", "delete from insula_log", "UPDATE Insula_inbox set outcome = ''",
        'insert into public."insula_parked" default values', "truncate table only insula_timer",
        "with gone as (delete from insula_log returning *) select * from gone",
    ],
)  # fmt: skip
def test_what_would_end_or_outlive_the_unit_is_denied(statement: str) -> None:
    assert denied(statement) is not None


@pytest.mark.parametrize(
    "statement",
    [
        "select 1", "(select 1)", "insert into commits values (1)", "update releases set name = 'commit'", "",
        "set local statement_timeout = 100", "set constraints all deferred", "select * from insula_log",
        "delete from notes where text = 'insula_log'", "create table my_insula_notes (n int)",
    ],
)  # fmt: skip
def test_everything_else_is_run(statement: str) -> None:
    assert denied(statement) is None
