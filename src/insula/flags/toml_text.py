"""The text of a TOML file with one flag of it changed, and every other line as it was."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import msgspec

from insula.flags.errors import FlagError

MISSING = object()
"""In the place of a value: the setting is not there."""
_BARE = re.compile(r"[A-Za-z0-9_-]+")


def edited_toml(text: str, key: str, before: dict[str, Any], after: dict[str, Any], origin: str) -> str:
    """The text with the settings of one flag as they are to be, where they differ from those before.

    Whoever calls it reads the result again and compares: a file may be written in forms that this does not see.
    Raises `FlagError` where the flag is not a table of its own.
    """
    lines = text.splitlines(keepends=True)
    start = next((number for number, line in enumerate(lines) if _heads(line, key)), None)
    if start is None:
        raise FlagError(f"{origin}: flag {key} is not written as a table [flags.{toml_key(key)}]; change it by hand")
    end = next((number for number in range(start + 1, len(lines)) if _is_heading(lines[number])), len(lines))
    body = lines[start + 1 : end]
    newline = "\r\n" if lines[start].endswith("\r\n") else "\n"
    for setting in {**before, **after}:
        if before.get(setting, MISSING) == after.get(setting, MISSING):
            continue
        written = f"{toml_key(setting)} = {as_toml(after[setting])}{newline}" if setting in after else ""
        body = _with_setting(body, setting, written, newline)
    head = lines[start] if lines[start].endswith("\n") else lines[start] + newline
    # A setting that is a table of its own, [flags.KEY.rollout], stands below: it is taken out where it changes.
    rest = _without_tables(lines[end:], key, [name for name in before if before[name] != after.get(name, MISSING)])
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


def toml_key(name: str) -> str:
    """A name as TOML writes it, in quotes where it must."""
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
        inner = ", ".join(f"{toml_key(str(name))} = {as_toml(each)}" for name, each in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    raise FlagError(f"{value!r} cannot be written as TOML; flags with such values stand in JSON")
