"""Parts of timestamps and durations. Source: cel-spec, `langdef.md`, "Timezones"."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from insula.rules.functions.registry import Functions
from insula.rules.moments import SECOND, Duration, Timestamp

TIMES = Functions()


def _of_timestamp(part: Callable[[datetime], int]) -> dict[tuple[type, ...], Callable[..., int]]:
    """In UTC, or in a time zone."""
    return {
        (Timestamp,): lambda moment: part(moment.at()),
        (Timestamp, str): lambda moment, zone: part(moment.at(zone)),
    }


def _of_duration(unit: int, within: int | None = None) -> dict[tuple[type, ...], Callable[..., int]]:
    """All of it in a unit, rounded towards zero; or only what is left of a larger unit."""

    def part(length: Duration) -> int:
        size = abs(length.nanoseconds)
        count = (size if within is None else size % within) // unit
        return -count if length.nanoseconds < 0 else count

    return {(Duration,): part}


_PARTS = "FullYear Month DayOfMonth Date DayOfYear DayOfWeek Hours Minutes Seconds Milliseconds"

TIMES.method("getFullYear", _of_timestamp(lambda moment: moment.year))
TIMES.method("getMonth", _of_timestamp(lambda moment: moment.month - 1))
TIMES.method("getDayOfMonth", _of_timestamp(lambda moment: moment.day - 1))
TIMES.method("getDate", _of_timestamp(lambda moment: moment.day))
TIMES.method("getDayOfYear", _of_timestamp(lambda moment: moment.timetuple().tm_yday - 1))
TIMES.method("getDayOfWeek", _of_timestamp(lambda moment: moment.isoweekday() % 7))
TIMES.method("getHours", _of_timestamp(lambda moment: moment.hour) | _of_duration(3600 * SECOND))
TIMES.method("getMinutes", _of_timestamp(lambda moment: moment.minute) | _of_duration(60 * SECOND))
TIMES.method("getSeconds", _of_timestamp(lambda moment: moment.second) | _of_duration(SECOND))
TIMES.method(
    "getMilliseconds", _of_timestamp(lambda moment: moment.microsecond // 1000) | _of_duration(SECOND // 1000, SECOND)
)
for _part in _PARTS.split():
    # A zone that is not known yet is looked for in files.
    TIMES.weigh(f"get{_part}", lambda *values: 40 * (len(values) - 1))
