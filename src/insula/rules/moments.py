"""Timestamps and durations, exact to the nanosecond. Source: cel-spec, `langdef.md`, and RFC 3339."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from fractions import Fraction
from functools import lru_cache

from insula.rules.errors import EvaluationError

SECOND = 1_000_000_000
_MOST = 2**63 - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST = -62_135_596_800 * SECOND, 253_402_300_800 * SECOND - 1
_UNITS = {"h": 3600 * SECOND, "m": 60 * SECOND, "s": SECOND, "ms": 1_000_000, "ns": 1}
_UNITS |= dict.fromkeys(("us", "\u00b5s", "\u03bcs"), 1000)
_LONGEST = 64
_DURATION = re.compile(r"([+-]?)((?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:h|ms|us|\u00b5s|\u03bcs|ns|m|s))+")
_PART = re.compile(r"([0-9]*\.?[0-9]*)(h|ms|us|\u00b5s|\u03bcs|ns|m|s)")
_TIMESTAMP = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII
)
_OFFSET = re.compile(r"([+-]?)(\d\d):(\d\d)", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class Duration:
    """A length of time. Raises EvaluationError where it is longer than 292 years."""

    nanoseconds: int

    def __post_init__(self) -> None:
        if abs(self.nanoseconds) > _MOST:
            raise EvaluationError("a duration is no longer than 292 years")

    @staticmethod
    def parse(text: str) -> Duration:
        """From a text such as "1h30m" or "-1.5s". Raises EvaluationError."""
        if text in ("0", "+0", "-0"):
            return Duration(0)
        if len(text) > _LONGEST or (found := _DURATION.fullmatch(text)) is None:
            raise EvaluationError(f'duration("{text[:40]}"): write it like "1h30m" or "1.5s"')
        total = sum(Fraction(_number(amount)) * _UNITS[unit] for amount, unit in _PART.findall(text))
        return Duration(int(total) * (-1 if found[1] == "-" else 1))

    @staticmethod
    def of(delta: timedelta) -> Duration:
        """From Python's."""
        return Duration(((delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds) * 1000)

    def to_timedelta(self) -> timedelta:
        """As Python's, without what is less than a microsecond."""
        return timedelta(microseconds=abs(self.nanoseconds) // 1000) * (-1 if self.nanoseconds < 0 else 1)

    def __str__(self) -> str:
        """Seconds, as in the JSON of protocol buffers."""
        whole, rest = divmod(abs(self.nanoseconds), SECOND)
        fraction = f".{rest:09d}".rstrip("0") if rest else ""
        return f"{'-' if self.nanoseconds < 0 else ''}{whole}{fraction}s"


def _number(text: str) -> str:
    return text if text not in ("", ".") else "0"


@dataclass(frozen=True, slots=True, order=True)
class Timestamp:
    """A moment, as nanoseconds since 1970 in UTC. Raises EvaluationError where it lies beyond the years 1 to 9999."""

    nanoseconds: int

    def __post_init__(self) -> None:
        if not _FIRST <= self.nanoseconds <= _LAST:
            raise EvaluationError("a timestamp lies in the years 1 to 9999")

    @staticmethod
    def parse(text: str) -> Timestamp:
        """From RFC 3339, such as "2030-01-31T12:00:00Z". Raises EvaluationError."""
        found = _TIMESTAMP.fullmatch(text)
        if found is None:
            raise EvaluationError(f'timestamp("{text[:40]}"): write it like "2030-01-31T12:00:00Z"')
        *parts, fraction, sign, hours, minutes = found.groups()
        if sign is not None and not (int(hours) < 24 and int(minutes) < 60):
            raise EvaluationError(f'timestamp("{text}"): an offset is less than a day, such as "+02:00"')
        try:
            moment = datetime(*map(int, parts), tzinfo=UTC)  # type: ignore[misc, arg-type]  # six numbers
        except ValueError as error:
            raise EvaluationError(f'timestamp("{text}"): {error}') from None
        offset = 0 if sign is None else (int(hours) * 60 + int(minutes)) * 60 * (-1 if sign == "-" else 1)
        whole = (moment - _EPOCH) // timedelta(seconds=1) - offset
        return Timestamp(whole * SECOND + int((fraction or "").ljust(9, "0")))

    @staticmethod
    def of(moment: datetime) -> Timestamp:
        """From Python's. Raises EvaluationError where it has no time zone."""
        if moment.tzinfo is None:
            raise EvaluationError(f"{moment.isoformat()} has no time zone: which moment it is depends on the place")
        return Timestamp((moment - _EPOCH) // timedelta(microseconds=1) * 1000)

    def at(self, zone: str | None = None) -> datetime:
        """As Python's, in UTC or a zone, without what is less than a microsecond. Raises EvaluationError."""
        whole = self.nanoseconds // 1000
        moment = _EPOCH + timedelta(microseconds=whole)
        try:
            return moment if zone is None else moment.astimezone(_zone(zone))
        except OverflowError:
            raise EvaluationError("a timestamp lies in the years 1 to 9999, in every zone") from None

    def __str__(self) -> str:
        rest = self.nanoseconds % SECOND
        fraction = f".{rest:09d}".rstrip("0") if rest else ""
        moment = self.at()
        return f"{moment.year:04d}-{moment:%m-%dT%H:%M:%S}{fraction}Z"


@lru_cache(maxsize=256)
def _zone(name: str) -> tzinfo:
    from zoneinfo import ZoneInfo

    offset = _OFFSET.fullmatch(name)
    if offset is not None:
        minutes = int(offset[2]) * 60 + int(offset[3])
        if minutes < 24 * 60 and int(offset[3]) < 60:
            return timezone(timedelta(minutes=-minutes if offset[1] == "-" else minutes))
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise EvaluationError(f'"{name[:40]}" is no time zone; write it like "Europe/Vienna" or "+02:00"') from None
