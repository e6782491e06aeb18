"""A flag as it is written down: what it may be, and for whom it is what."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any

import msgspec

from insula.flags.buckets import PARTS, parts_of
from insula.flags.errors import FlagError
from insula.kernel.errors import InsulaError

ON, OFF = "on", "off"
_UNKNOWN = "Object contains unknown field "
_MOST_METADATA = 1000
_RIGHT = {
    "variants": "{ dark = 1, dim = 2 }", "default": '"on"', "off": '"off"', "targeting": "'country == \"DE\"'",
    "rollout": "20", "salt": '"checkout"', "allow": '["tess"]', "from": "2027-03-01T08:00:00+01:00",
    "until": "2027-03-01T08:00:00+01:00", "requires": '["new-prices"]', "disabled": "true", "killed": "true",
    "owner": '"orders"', "description": '"…"', "created": "2027-03-01", "expires": "2027-03-01",
    "metadata": '{ ticket = "SHOP-7" }',
}  # fmt: skip
"""Setting -> a value of it, in TOML."""

_Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class Flag(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"since": "from"}, omit_defaults=True
):
    """One flag. Asked in turn: killed, disabled, `requires`, `allow`, from and until, targeting, rollout, default.

    Parameters:
    - `variants`, name -> any value of JSON (default on = true, off = false).
    - `default`, the variant of whom nothing else speaks for (default "off" if there is one; none: the code's default).
    - `off`, the variant of a killed flag, one outside of its time, and one whose prerequisite fails (default "off" if
      there is one, else that of `default`).
    - `targeting`, CEL that answers a variant, "" for the default, true for the rollout (or "on"), false for the
      default, or a rollout of its own, such as {"on": 25}.
    - `rollout`, variant -> percentage in steps of 0.001; a number alone is that of "on". The rest gets the default.
    - `salt` of the buckets, default the key: flags that share one put the same subjects first.
    - `allow`, variant -> subjects that always get it, whatever the targeting; a list alone is that of "on".
    - `since` (written `from`) and `until`, between which it is not off; with an offset from UTC.
    - `requires`, flag -> the variant or variants that it must come to first; a list of flags: they must be "on".
    - `killed`: everybody gets `off`, whatever else is written. `disabled`: everybody gets the code's default.
    - `owner`, `description`, `created`, `expires` (after which `insula check` lists it), `metadata`, for people.
    """

    variants: dict[str, Any] = msgspec.field(default_factory=lambda: {ON: True, OFF: False})
    default: str | None = None
    off: str | None = None
    targeting: str = ""
    rollout: dict[str, float] | float = msgspec.field(default_factory=dict)
    salt: str = ""
    allow: dict[str, tuple[str, ...]] | tuple[str, ...] = msgspec.field(default_factory=dict)
    since: _Moment | None = None
    until: _Moment | None = None
    requires: dict[str, str | tuple[str, ...]] | tuple[str, ...] = msgspec.field(default_factory=dict)
    disabled: bool = False
    killed: bool = False
    owner: str = ""
    description: str = ""
    created: date | None = None
    expires: date | None = None
    metadata: dict[str, bool | int | float | str] = msgspec.field(default_factory=dict)

    @property
    def default_variant(self) -> str | None:
        """The variant of whom nothing else speaks for; None: the code's default."""
        return self.default if self.default is not None else self._named_off

    @property
    def off_variant(self) -> str | None:
        """The variant of everybody while the flag is off; None: the code's default."""
        if self.off is not None:
            return self.off
        return self._named_off or self.default

    @property
    def has_off(self) -> bool:
        """Whether killing it turns it off: there is a variant for that, and it is not true."""
        named = self.off if self.off is not None else self._named_off
        return named is not None and self.variants[named] is not True

    @property
    def _named_off(self) -> str | None:
        return OFF if OFF in self.variants else None

    @property
    def shares(self) -> dict[str, int]:
        """The rollout in parts per 100,000, in its order."""
        return shares_of(self.rollout if isinstance(self.rollout, dict) else {ON: self.rollout})

    @property
    def allowed(self) -> dict[str, str]:
        """Subject -> the variant that it always gets; the first that is written, where there are several."""
        lists = self.allow if isinstance(self.allow, dict) else {ON: self.allow}
        return {subject: variant for variant, subjects in reversed(lists.items()) for subject in subjects}

    @property
    def prerequisites(self) -> dict[str, tuple[str, ...]]:
        """Flag -> the variants of which it must come to one."""
        wanted = self.requires if isinstance(self.requires, dict) else dict.fromkeys(self.requires, ON)
        return {key: (each,) if isinstance(each, str) else each for key, each in wanted.items()}

    def is_expired(self, today: date) -> bool:
        """Whether its last day is over."""
        return self.expires is not None and self.expires < today

    def check(self) -> None:
        """Raises `FlagError` for variants that there are not, and what else does not fit together."""
        if not self.variants:
            raise FlagError("variants: there are none; leave them out for on and off")
        named = {
            "default": (self.default,) if self.default is not None else (),
            "off": (self.off,) if self.off is not None else (),
            "rollout": self.shares,
            "allow": set(self.allowed.values()),
        }
        for where, variants in named.items():
            for variant in variants:
                self.check_variant(variant, where)
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise FlagError(f"from {self.since} is not before until {self.until}")
        if len(self.metadata) > _MOST_METADATA:
            raise FlagError(f"metadata: more than {_MOST_METADATA} entries")

    def check_variant(self, variant: str, where: str) -> None:
        """Raises `FlagError` naming the variants that there are."""
        if variant not in self.variants:
            raise FlagError(f"{where}: there is no variant {variant!r}; there are {', '.join(self.variants) or 'none'}")


def shares_of(rollout: Mapping[str, Any]) -> dict[str, int]:
    """Percentages in parts per 100,000. Raises `FlagError` for what is none, and for more than a whole."""
    try:
        shares = {variant: parts_of(percent) for variant, percent in rollout.items()}
    except (TypeError, ValueError) as error:
        raise FlagError(f"rollout: {error}") from None
    if sum(shares.values()) > PARTS:
        raise FlagError(f"rollout: {sum(shares.values()) * 100 / PARTS:g} % are more than 100 %")
    return shares


def flag_of(entry: Any) -> Flag:
    """A flag from what a file says of it. Raises `FlagError` saying what is wrong there."""
    try:
        flag = msgspec.convert(entry, Flag)
        flag.check()
    except msgspec.ValidationError as error:
        raise FlagError(_explained(str(error))) from None
    except InsulaError:
        raise
    except Exception as error:  # such as a number too large to be one
        raise FlagError(f"{type(error).__name__}: {error}") from None
    return flag


def _explained(problem: str) -> str:
    """What msgspec says, as a user would look for it."""
    from insula.rules.errors import did_you_mean

    unknown = problem.removeprefix(_UNKNOWN)
    if unknown == problem:
        reason, _, where = problem.partition(" - at `$")
        where = where.rstrip("`").lstrip(".")
        setting = re.split(r"[.\[]", where)[0]
        right = f"; write it like {setting} = {_RIGHT[setting]}" if setting in _RIGHT else ""
        return f"{where}: {reason}{right}" if where else reason
    name = unknown.partition(" - at ")[0].strip("`")
    known = [field.encode_name for field in msgspec.structs.fields(Flag)]
    return f"there is no setting {name}{did_you_mean(name, known)}; there are {', '.join(known)}"
