"""A process of its own for each test: its flags are nobody else's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from insula.kernel.context import process_state


@pytest.fixture(autouse=True)
def _own_process() -> Iterator[None]:
    """No flags at the beginning, and none left at the end."""
    before = process_state.set({})
    yield
    process_state.reset(before)
