"""Recurring moments, written as cron expressions."""

from __future__ import annotations

from datetime import UTC, datetime

from insula.kernel.errors import ConfigurationError


def next_fire(expression: str, after: datetime, timezone: str = "UTC") -> datetime:
    """The first moment strictly after `after` that the expression names, in UTC.

    Parameters: `expression`, five fields as in crontab(5), or six with seconds first; `after`, an aware datetime;
    `timezone`, the IANA zone in which the expression is meant. Daylight saving is treated as Debian's cron does.
    Raises ConfigurationError, naming the expression or the zone, where one is bad or the moment never comes.
    """
    from zoneinfo import ZoneInfo  # both are loaded only by those who have schedules

    from cronsim import CronSim, CronSimError

    if after.tzinfo is None:
        raise ValueError(f"next_fire: after={after.isoformat()} has no timezone")
    try:
        zone = ZoneInfo(timezone)
    except (KeyError, ValueError, OSError) as error:
        raise ConfigurationError(f"schedule {expression!r}: unknown timezone {timezone!r}") from error
    try:
        moment = next(CronSim(expression, after.astimezone(zone)))
    except CronSimError as error:
        raise ConfigurationError(f"schedule {expression!r} is no cron expression: {error}") from error
    except StopIteration:
        raise ConfigurationError(f"schedule {expression!r} names a moment that never comes") from None
    return moment.astimezone(UTC)
