"""What an error of the server or the driver says once it has left the adapter."""

from __future__ import annotations

import asyncpg

from insula.adapters.postgres.errors import failure_of


def test_a_message_of_several_lines_becomes_one() -> None:
    failure = failure_of(asyncpg.TooManyConnectionsError("too many clients\nHINT:  close some"), "a database")
    assert "too many clients HINT: close some" in str(failure)
    assert "\n" not in str(failure)
