from __future__ import annotations

from collections.abc import Iterator

import pytest

from insula.testing import VirtualClock, virtual_time
from support.ways import Way


@pytest.fixture
def clock() -> Iterator[VirtualClock]:
    """A process of its own, in virtual time."""
    with virtual_time() as clock:
        yield clock


@pytest.fixture(params=["sync", "async"])
def way(request: pytest.FixtureRequest, clock: VirtualClock) -> Iterator[Way]:
    """The case runs twice: around a plain function, and around an async one."""
    way = Way(request.param, clock)
    with way.runner:
        yield way
