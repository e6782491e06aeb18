"""What `insula check` says of feature flags: those that should be gone by now, and what does not fit together."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

from insula.flags.errors import FlagError, FlagsUnavailable
from insula.flags.typed import contradictions, declared_flags
from insula.runtime.configuration import Configuration
from insula.runtime.flagging import read_flags


@dataclass
class FlagFindings:
    """`expired` flags, each with its place and owner; `problems`; `not_checked`, what could not be looked at."""

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
        for key, written in flags.flags.items():
            if written.is_expired(today):
                place = f"flag {key} ({flags.source.name})"
                found.expired.append(_line(place, written.owner, written.expires, "take it out there too"))
    return found


def _line(place: str, owner: str, expires: date | None, advice: str) -> str:
    return f"{place} of {owner or 'nobody'} has expired on {expires}; {advice}"
