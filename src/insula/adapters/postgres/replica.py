"""Reads of queries on a replica of the server, and on the server itself while the replica is away or lacks a table."""

from __future__ import annotations

import logging
from typing import Any

from sqlalchemy import Executable, Result

from insula.adapters.postgres.reader import Reader
from insula.kernel.clock import Clock
from insula.kernel.errors import Unavailable
from insula.store.errors import TableMissing
from insula.store.unit_of_work import Parameters

_log = logging.getLogger("insula.postgres")

_AGAIN_SECONDS = 5.0
"""After so long a replica that did not answer is asked again."""


class ReplicaReader:
    """What `Reader` does, for the handlers of queries. A replica may be a moment behind what was committed.

    Parameters: `replica` and `primary`, which read; `name`, the module's.
    """

    def __init__(self, replica: Reader, primary: Reader, name: str, clock: Clock) -> None:
        self._replica = replica
        self._primary = primary
        self._name = name
        self._clock = clock
        self._away_until = 0.0
        self._told_behind = False

    async def result(self, statement: Executable, parameters: Parameters, place: str) -> Result[Any]:
        """Run a statement that reads."""
        if self._clock.monotonic() >= self._away_until:
            try:
                return await self._replica.result(statement, parameters, place)
            except Unavailable as error:
                self._is_away(error)
            except TableMissing as error:  # a migration that has not come to the replica yet, or a real mistake
                found = await self._primary.result(statement, parameters, place)
                self._is_behind(error)
                return found
        return await self._primary.result(statement, parameters, place)

    def result_in_thread(self, statement: Executable, parameters: Parameters, place: str) -> Result[Any]:
        """The same on the calling thread."""
        if self._clock.monotonic() >= self._away_until:
            try:
                return self._replica.result_in_thread(statement, parameters, place)
            except Unavailable as error:
                self._is_away(error)
            except TableMissing as error:  # a migration that has not come to the replica yet, or a real mistake
                found = self._primary.result_in_thread(statement, parameters, place)
                self._is_behind(error)
                return found
        return self._primary.result_in_thread(statement, parameters, place)

    def _is_away(self, error: Unavailable) -> None:
        self._away_until = self._clock.monotonic() + _AGAIN_SECONDS
        _log.warning(
            "%s: the replica does not answer (%s); queries read from the server itself, for %g s",
            self._name, error, _AGAIN_SECONDS,
        )  # fmt: skip

    def _is_behind(self, error: TableMissing) -> None:
        if not self._told_behind:
            self._told_behind = True
            _log.warning("%s: the replica is behind (%s); such queries read from the server itself", self._name, error)
