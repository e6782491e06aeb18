"""A replica that a migration has not come to yet."""

from __future__ import annotations

from typing import Any, cast

import pytest
from sqlalchemy import text

from insula.adapters.postgres.reader import Reader
from insula.adapters.postgres.replica import ReplicaReader
from insula.kernel.clock import SystemClock
from insula.store.errors import TableMissing


class Server:
    """Answers with a word, or has no such table."""

    def __init__(self, answer: str | None) -> None:
        self._answer = answer

    def result_in_thread(self, *_: Any) -> str:
        if self._answer is None:
            raise TableMissing("a query: no such table: orders")
        return self._answer

    async def result(self, *_: Any) -> str:
        return self.result_in_thread()


def reading(primary: str | None) -> ReplicaReader:
    return ReplicaReader(cast(Reader, Server(None)), cast(Reader, Server(primary)), "shop", SystemClock())


async def test_a_table_the_replica_lacks_is_read_from_the_server_and_that_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    reader = reading("rows")
    assert cast(str, await reader.result(text("x"), None, "a query")) == "rows"
    assert cast(str, reader.result_in_thread(text("x"), None, "a query")) == "rows"
    assert caplog.text.count("the replica is behind") == 1


async def test_a_table_that_is_nowhere_is_not_blamed_on_the_replica(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(TableMissing):
        await reading(None).result(text("x"), None, "a query")
    assert "behind" not in caplog.text
