from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insula.kernel import ConfigurationError, next_fire


def moment(text: str) -> datetime:
    """An aware datetime in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_the_next_moment_lies_strictly_after() -> None:
    assert next_fire("0 3 * * *", moment("2026-01-01 02:59:59")) == moment("2026-01-01 03:00")
    assert next_fire("0 3 * * *", moment("2026-01-01 03:00")) == moment("2026-01-02 03:00")


def test_the_expression_is_meant_in_its_timezone_and_answered_in_utc() -> None:
    fired = next_fire("0 3 * * *", moment("2026-07-01 00:00"), timezone="Europe/Berlin")
    assert fired == moment("2026-07-01 01:00")
    assert fired.tzinfo is UTC


def test_a_night_without_that_hour_still_runs_the_job() -> None:
    before_the_change = moment("2026-03-28 12:00")
    fired = next_fire("30 2 * * *", before_the_change, timezone="Europe/Berlin")
    assert fired == moment("2026-03-29 01:00")


@given(st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2060, 1, 1)))  # noqa: DTZ001
def test_every_minute_is_at_most_a_minute_away(naive: datetime) -> None:
    after = naive.replace(tzinfo=UTC)
    assert timedelta() < next_fire("* * * * *", after) - after <= timedelta(minutes=1)


@pytest.mark.parametrize("expression", ["", "0 3 * *", "61 * * * *", "every day", "0 0 30 2 *", "* * * * * * *"])
def test_a_bad_expression_is_named(expression: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        next_fire(expression, moment("2026-01-01 00:00"))
    assert repr(expression) in str(caught.value)


@pytest.mark.parametrize("timezone", ["", "Mars/Base", "../etc/passwd", "europe berlin"])
def test_an_unknown_timezone_is_named(timezone: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        next_fire("* * * * *", moment("2026-01-01 00:00"), timezone=timezone)
    assert repr(timezone) in str(caught.value)


def test_a_moment_without_a_timezone_is_refused() -> None:
    with pytest.raises(ValueError, match="has no timezone"):
        next_fire("* * * * *", datetime(2026, 1, 1))  # noqa: DTZ001
