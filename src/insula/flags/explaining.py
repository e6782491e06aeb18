"""Why a flag came to what it came to, for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from insula.flags.buckets import PARTS, bucket_of
from insula.flags.flag import Flag
from insula.flags.flags import Flags
from insula.flags.outcome import Details, Reason
from insula.flags.targeting import SUBJECT_NAMES
from insula.rules.errors import RuleError


@dataclass(frozen=True, slots=True)
class ExplainedFlag:
    """A flag's details for somebody, and in words what decided."""

    details: Details
    because: str


def explained(flags: Flags, key: str, subject: str | None, context: Mapping[str, Any], now: datetime) -> ExplainedFlag:
    """Ask a flag for its value, and say why it is that. Parameters: `now`, against which its time is shown."""
    details = flags.details(key, None, None, subject, context)
    flag = flags.flags.get(key)
    if flag is None or details.reason is Reason.ERROR:
        return ExplainedFlag(details, details.message)
    return ExplainedFlag(details, _because(flags, key, flag, details, subject, context, now))


def _because(
    flags: Flags, key: str, flag: Flag, details: Details, subject: str | None, context: Mapping[str, Any], now: datetime
) -> str:
    reason = details.reason
    if reason is Reason.DISABLED:
        return _why_off(flag, now)
    if reason is Reason.PREREQUISITE_FAILED:
        return _which_failed(flags, flag, subject, context)
    if reason is Reason.SPLIT and subject is not None:
        return _bucket(key, flag, subject)
    if reason is Reason.OVERRIDE:
        return "it is pinned"
    if reason is Reason.TARGETING_MATCH and subject in flag.allowed:
        return f"{subject} is on the allow-list of {flag.allowed[str(subject)]}"
    if flag.targeting:
        return _targeting(flags, key, subject, context)
    return "it says the same to everybody" if reason is Reason.STATIC else "nothing speaks for another variant"


def _why_off(flag: Flag, now: datetime) -> str:
    if flag.killed:
        return "it is killed"
    if flag.disabled:
        return "it is disabled: the code's default holds"
    since = f"from {flag.since.isoformat()} " if flag.since else ""
    until = f"until {flag.until.isoformat()} " if flag.until else ""
    return f"it is on {since}{until}only, and now it is {now.isoformat(timespec='seconds')}"


def _which_failed(flags: Flags, flag: Flag, subject: str | None, context: Mapping[str, Any]) -> str:
    for other, wanted in flag.prerequisites.items():
        found = flags.details(other, None, None, subject, context)
        if found.variant not in wanted:
            return f"{other} must be {' or '.join(wanted)} first, and is {found.variant or found.message or 'not told'}"
    return "a prerequisite was not met"


def _bucket(key: str, flag: Flag, subject: str) -> str:
    salt = flag.salt or key
    shares = ", ".join(f"{variant} {parts:,}" for variant, parts in flag.shares.items()) or "the targeting's own"
    return f"bucket {bucket_of(salt, subject):,} of {PARTS:,} under {salt}; shares in turn: {shares}"


def _targeting(flags: Flags, key: str, subject: str | None, context: Mapping[str, Any]) -> str:
    targeting = flags.flags.targeting[key]
    about = {**dict.fromkeys(SUBJECT_NAMES, subject), **context}
    missing = sorted({field.partition(".")[0] for field in targeting.rule.fields_used} - about.keys())
    if missing:
        return f"targeting speaks for nobody of whom it is not known: {', '.join(missing)}"
    try:
        return f"targeting {flags.flags[key].targeting} answers {targeting.rule.evaluate(about)!r}".replace("\x00", "#")
    except RuleError as error:
        return f"targeting has no answer: {error}"
