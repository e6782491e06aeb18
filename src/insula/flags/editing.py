"""Changes to flags as they are written: in the data of one flag, in TOML and in JSON."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from insula.flags.errors import FlagError
from insula.flags.flag import ON
from insula.flags.flagset import FlagSet, decoded
from insula.flags.sources import Content
from insula.flags.toml_text import MISSING, edited_toml, toml_key
from insula.rules.errors import did_you_mean

REMOVED = MISSING
"""In the place of a value: the setting goes."""


def changed_entry(entry: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """What is written of a flag, with changes: setting, or setting.name of a table, -> value or `REMOVED`."""
    new = dict(entry)
    for path, value in changes.items():
        setting, dot, name = path.partition(".")
        if not dot:
            _put(new, setting, value)
            continue
        table = _in_full(new.get(setting, {}))
        if not isinstance(table, Mapping):
            raise FlagError(f"{path}: {setting} is {table!r} and no table; give {setting} as a whole")
        new[setting] = _put(dict(table), name, value)
    return new


def _in_full(written: Any) -> Any:
    """What stands for a table of "on" alone, as `rollout = 20` and `allow = ["ann"]` do, as that table."""
    is_short = isinstance(written, int | float | list | tuple) and not isinstance(written, bool)
    return {ON: written} if is_short else written


def _put(table: dict[str, Any], name: str, value: Any) -> dict[str, Any]:
    if value is REMOVED:
        table.pop(name, None)
    else:
        table[name] = value
    return table


def edited(content: Content, key: str, changes: Mapping[str, Any], origin: str, *, new: bool = False) -> Content:
    """The content of a file with changes to one flag; everything else stays as it is, comments in TOML included.

    Parameters: `new`, True to write a flag that is not there yet.
    Raises `FlagError` where there is no such flag, where it would be none afterwards, and where it is written in a form
    that cannot be changed safely.
    """
    data = decoded(content.text, toml=content.toml, origin=origin)
    try:
        flags = FlagSet.of(data, origin)
    except FlagError as error:
        raise FlagError(f"{error}\n{origin} is in use nowhere as it is; mend that by hand first") from None
    refuse_if_other(key, flags, origin, new=new)
    before = data["flags"].get(key, {})
    after = changed_entry(before, changes)
    wanted = {**data, "flags": {**data["flags"], key: after}}
    FlagSet.of(wanted, origin)
    if after == before and not new:
        return content
    if not content.toml:
        return Content(msgspec.json.format(msgspec.json.encode(wanted), indent=2) + b"\n")
    text = content.text.decode()
    if new:
        text = f"{text.rstrip()}\n\n[flags.{toml_key(key)}]\n".lstrip()
    text = edited_toml(text, key, before, after, origin)
    if tomllib.loads(text) != wanted:
        raise FlagError(f"{origin}: flag {key} is not written as a table [flags.{toml_key(key)}]; change it by hand")
    return Content(text.encode(), toml=True)


def refuse_if_other(key: str, known: Collection[str], origin: str, *, new: bool) -> None:
    """Raises `FlagError` for a flag that is there already where it is to be new, and for one that is not, otherwise."""
    if new and key in known:
        raise FlagError(f"{origin} has a flag {key} already; leave out --new to change it")
    if not new and key not in known:
        raise FlagError(
            f"{origin} has no flag {key}{did_you_mean(key, known)}; insula flags set {key} --new writes one"
        )
