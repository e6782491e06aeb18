from __future__ import annotations

from collections.abc import Iterator

import pytest

from insula.testing import VirtualClock, virtual_time


@pytest.fixture
def clock() -> Iterator[VirtualClock]:
    """Virtual time, for snippets that say no more than they need."""
    with virtual_time() as clock:
        yield clock
