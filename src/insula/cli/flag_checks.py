"""What `insula check` says of feature flags: those that should be gone by now, and what does not fit together."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

from insula.flags.errors import FlagError, FlagsUnavailable
from insula.flags.flags import Flags
from insula.flags.kinds import fits
from insula.flags.typed import contradictions, declared_flags
from insula.rules.errors import did_you_mean
from insula.runtime.configuration import Configuration
from insula.runtime.flagging import read_flags


@dataclass
class FlagFindings:
    """What was found.

    `expired` flags, each with its place and owner; `problems`; `not_checked`, what could not be looked at.
    """

    expired: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    not_checked: list[str] = field(default_factory=list)


def check_flags(configuration: Configuration, today: date) -> FlagFindings:
    """Look at the flags that the imported code declares, and at those that are configured."""
    found = FlagFindings(problems=list(contradictions()))
    for flag in declared_flags():
        if flag.is_expired(today):
            found.expired.append(_line(str(flag.place), flag.owner, flag.expires, "take it out of the code"))
    if not configuration.flags.source:
        return found
    try:
        flags = read_flags(configuration.flags)
    except FlagsUnavailable as error:
        found.not_checked.append(str(error))
    except FlagError as error:
        found.problems.append(str(error))
    else:
        _compare(found, flags)
        for key, written in flags.flags.items():
            if written.is_expired(today):
                place = f"flag {key} ({flags.source.name})"
                found.expired.append(_line(place, written.owner, written.expires, "take it out there too"))
    return found


def _compare(found: FlagFindings, flags: Flags) -> None:
    """Note what the code asks for and the source has not, or has as another type."""
    for flag in declared_flags():
        written = flags.flags.get(flag.key)
        if written is None:
            has_none = f"{flags.source.name} has no such flag{did_you_mean(flag.key, flags.flags)}"
            found.not_checked.append(f"{flag.place}: {has_none}; the code's default {flag.default!r} holds")
            continue
        other = [variant for variant, value in written.variants.items() if not fits(value, flag.kind)]
        if other:
            found.problems.append(f"{flag.place} is a {flag.kind}, but not in {flags.source.name}: {', '.join(other)}")


def _line(place: str, owner: str, expires: date | None, advice: str) -> str:
    return f"{place} of {owner or 'nobody'} has expired on {expires}; {advice}"
