"""What a module's database counts of itself."""

from __future__ import annotations

import msgspec


class DatabaseMeasures(msgspec.Struct, frozen=True, kw_only=True):
    """Since the process started.

    Parameters: connections that are `open` now and `busy`, and the `limit`; how many units waited for one (`waits`),
    the `longest_wait_seconds`, and how many waited in vain (`refused`); how often a connection was made (`connected`)
    or could not be (`failed`), and the `circuit` around that; how many `units` of work were run, and how many of their
    runs were made again (`repeated`), since another one was first.
    """

    open: int
    busy: int
    limit: int
    waits: int
    longest_wait_seconds: float
    refused: int
    connected: int
    failed: int
    circuit: str
    units: int
    repeated: int
