"""A process has the time to stop that its own configuration lets it take."""

from __future__ import annotations

import pytest

from insula.runtime.configuration import Http


@pytest.mark.parametrize("drain_seconds", [0.1, 10.0, 45.0])
def test_a_process_is_not_killed_while_it_may_still_drain_its_requests_and_then_its_handlers(
    drain_seconds: float,
) -> None:
    assert Http(drain_seconds=drain_seconds).stop_seconds >= 2 * drain_seconds + 5
