"""Changes to flags as they are written: in the data of one flag, in TOML and in JSON."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping
from datetime import date, datetime
from typing import Any

import msgspec

from insula.flags.errors import FlagError
from insula.flags.flag import ON
from insula.flags.flagset import FlagSet, decoded
from insula.flags.sources import Content
from insula.rules.errors import did_you_mean

REMOVED = object()
"""In the place of a value: the setting goes."""
_BARE = re.compile(r"[A-Za-z0-9_-]+")


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
    flags = FlagSet.of(data, origin)
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
        text = f"{text.rstrip()}\n\n[flags.{_key(key)}]\n".lstrip()
    text = _edited_toml(text, key, before, after, origin)
    if tomllib.loads(text) != wanted:
        raise FlagError(f"{origin}: flag {key} is not written as a table [flags.{_key(key)}]; change it by hand")
    return Content(text.encode(), toml=True)


def refuse_if_other(key: str, known: Collection[str], origin: str, *, new: bool) -> None:
    """Raises `FlagError` for a flag that is there already where it is to be new, and for one that is not, otherwise."""
    if new and key in known:
        raise FlagError(f"{origin} has a flag {key} already; leave out --new to change it")
    if not new and key not in known:
        raise FlagError(f"{origin} has no flag {key}{did_you_mean(key, known)}; --new writes one")


def _edited_toml(text: str, key: str, before: dict[str, Any], after: dict[str, Any], origin: str) -> str:
    lines = text.splitlines(keepends=True)
    start = next((number for number, line in enumerate(lines) if _heads(line, key)), None)
    if start is None:
        raise FlagError(f"{origin}: flag {key} is not written as a table [flags.{_key(key)}]; change it by hand")
    end = next((number for number in range(start + 1, len(lines)) if _is_heading(lines[number])), len(lines))
    body = lines[start + 1 : end]
    newline = "\r\n" if lines[start].endswith("\r\n") else "\n"
    for setting in {**before, **after}:
        if before.get(setting, REMOVED) == after.get(setting, REMOVED):
            continue
        written = f"{_key(setting)} = {as_toml(after[setting])}{newline}" if setting in after else ""
        body = _with_setting(body, setting, written, newline)
    head = lines[start] if lines[start].endswith("\n") else lines[start] + newline
    # A setting that is a table of its own, [flags.KEY.rollout], stands below: it is taken out where it changes.
    rest = _without_tables(lines[end:], key, [name for name in before if before[name] != after.get(name, REMOVED)])
    return "".join([*lines[:start], head, *body, *rest])


def _with_setting(body: list[str], setting: str, written: str, newline: str) -> list[str]:
    """The lines of a table with one setting written anew, where it stood or after the last one."""
    found = _extent(body, setting)
    if found is not None:
        return [*body[: found[0]], *([written] if written else []), *_without_setting(body[found[1] :], setting)]
    end = _end_of_settings(body)
    if end and not body[end - 1].endswith("\n"):
        body = [*body[: end - 1], body[end - 1] + newline]
    return [*body[:end], *([written] if written else []), *body[end:]]


def _end_of_settings(body: list[str]) -> int:
    """The number of the line after the last setting: comments below it are about what comes next."""
    end = number = 0
    while number < len(body):
        after = _after_setting(body, number)
        if body[number].strip() and not body[number].lstrip().startswith("#"):
            end = after
        number = after
    return end


def _without_setting(body: list[str], setting: str) -> list[str]:
    """Lines without what else is said of a setting, as `rollout.on = 5` beside `rollout.big = 6`."""
    found = _extent(body, setting)
    return body if found is None else [*body[: found[0]], *_without_setting(body[found[1] :], setting)]


def _extent(body: list[str], setting: str) -> tuple[int, int] | None:
    """From which line to which a setting stands, whose value may go over several."""
    begins = re.compile(rf"\s*(?:{re.escape(setting)}|\"{re.escape(setting)}\")\s*[.=]")
    number = 0
    while number < len(body):
        after = _after_setting(body, number)
        if begins.match(body[number]):
            return number, after
        number = after
    return None


def _after_setting(body: list[str], number: int) -> int:
    """The number of the line after the setting that begins at one."""
    if not body[number].strip() or body[number].lstrip().startswith("#"):
        return number + 1
    for end in range(number + 1, len(body) + 1):
        try:
            tomllib.loads("".join(body[number:end]))
        except tomllib.TOMLDecodeError:
            continue
        return end
    return number + 1


def _without_tables(lines: list[str], key: str, settings: list[str]) -> list[str]:
    kept, dropping = list[str](), False
    for line in lines:
        if _is_heading(line):
            path = _heading(line)
            dropping = path is not None and len(path) > 2 and path[:2] == ["flags", key] and path[2] in settings
        if not dropping:
            kept.append(line)
    return kept


def _heads(line: str, key: str) -> bool:
    return _is_heading(line) and _heading(line) == ["flags", key]


def _is_heading(line: str) -> bool:
    return line.lstrip().startswith("[")


def _heading(line: str) -> list[str] | None:
    """The names in a heading; None for a list of tables, and for what is none."""
    try:
        found: Any = tomllib.loads(line)
    except tomllib.TOMLDecodeError:
        return None
    path = []
    while isinstance(found, dict) and found:
        ((name, found),) = found.items()
        path.append(name)
    return path if found == {} else None


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _text(name)


def _text(text: str) -> str:
    # JSON's texts are TOML's, but for the control character that JSON lets stand as it is.
    return msgspec.json.encode(text).decode().replace("\x7f", "\\u007f")


def as_toml(value: Any) -> str:
    """A value as TOML writes it. Raises `FlagError` for null, which TOML has not."""
    if value is True or value is False:
        return str(value).lower()
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return f"[{', '.join(as_toml(each) for each in value)}]"
    if isinstance(value, Mapping):
        inner = ", ".join(f"{_key(str(name))} = {as_toml(each)}" for name, each in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    raise FlagError(f"{value!r} cannot be written as TOML; flags with such values stand in JSON")
