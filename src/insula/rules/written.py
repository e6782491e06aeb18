"""Rules as they are written in a file or kept in a table, before they are read as rules."""

from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec

from insula.rules.errors import RuleError

_MOST_BYTES = 16 * 1024 * 1024


class Content(msgspec.Struct, frozen=True):
    """What lies somewhere. Parameters: `data`; `is_json`, else it is TOML."""

    data: bytes
    is_json: bool = False


def file_content(path: Path) -> Content:
    """What a file has, if it is not too much. Raises `RuleError`."""
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise RuleError(f"{path} cannot be read: {error.strerror}") from None
    if len(data) > _MOST_BYTES:
        raise RuleError(f"{path} is larger than {_MOST_BYTES // 1024**2} MiB")
    return Content(data, path.suffix == ".json")


def written_rules(content: Content, name: str) -> tuple[dict[str, str], str]:
    """The rules by name, and their version. Raises `RuleError` that names the place and every entry that is no text."""
    try:
        data = msgspec.json.decode(content.data) if content.is_json else tomllib.loads(content.data.decode())
    except (msgspec.DecodeError, ValueError, RecursionError) as error:  # also 5,000 digits, or 5,000 brackets
        raise RuleError(f"{name} is no {'JSON' if content.is_json else 'TOML'}: {error}") from None
    if not isinstance(data, dict) or not isinstance(data.get("rules"), dict):
        raise RuleError(f"{name} has no table [rules]; write a rule as [rules.NAME] with when = '...'")
    rules, problems = dict[str, str](), list[str]()
    for key, entry in data["rules"].items():
        text = entry.get("when") if isinstance(entry, dict) else entry
        if isinstance(text, str):
            rules[key] = text
        else:
            problems.append(f"{key} is neither a text nor a table with when = '...'")
    if problems:
        raise RuleError(f"{name}: {'; '.join(problems)}")
    return rules, str(data.get("version", ""))
