"""Searching, cutting and joining texts. Source: cel-go, `ext/strings.go`. Positions count characters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from insula.rules.errors import EvaluationError, NoOverload
from insula.rules.functions.formatting import formatted
from insula.rules.functions.registry import Functions
from insula.rules.values import MOST_WEIGHT, named, weight_of

STRINGS = Functions()

_SPACES = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
_TO_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}
_TO_UPPER = {code: code - 32 for code in range(ord("a"), ord("z") + 1)}
_QUOTED = {
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
    "\\": "\\\\",
    '"': '\\"',
}


def _within(position: int, text: str, name: str, *, end: bool = True) -> int:
    if not 0 <= position <= len(text) - (not end):
        raise EvaluationError(f"{name}: there is no position {position} in a text of {len(text)} characters")
    return position


def _char_at(text: str, position: int) -> str:
    return text[_within(position, text, "charAt") :][:1]


def _index_of(text: str, part: str, begin: int = 0) -> int:
    return text.find(part, _within(begin, text, "indexOf"))


def _last_index_of(text: str, part: str) -> int:
    return text.rfind(part)


def _last_index_before(text: str, part: str, last: int) -> int:
    """The last place that begins at `last` or before."""
    return text.rfind(part, 0, _within(last, text, "lastIndexOf") + len(part))


def _substring(text: str, begin: int, end: int | None = None) -> str:
    end = len(text) if end is None else _within(end, text, "substring")
    if _within(begin, text, "substring") > end:
        raise EvaluationError(f"substring: it begins at {begin} and ends before that, at {end}")
    return text[begin:end]


def _replaced(text: str, old: str, new: str, most: int = -1) -> str:
    return text.replace(old, new, max(-1, most))


def _split(text: str, separator: str, most: int = -1) -> list[str]:
    if most == 0:
        return []
    if separator:
        return text.split(separator, most - 1 if most > 0 else -1)
    cut = len(text) if most < 0 else min(most - 1, len(text))
    return [*text[:cut], *([text[cut:]] if text[cut:] else [])]


def _joined(parts: list[Any], separator: str = "") -> str:
    for each in parts:
        if each.__class__ is not str:
            raise NoOverload(f"join: it joins texts; there is a {named(each)} among them")
    return separator.join(parts)


def _quoted(text: str) -> str:
    return '"' + "".join(_QUOTED.get(each, each) for each in text) + '"'


def _weight_of_replacing(text: Any, old: Any, new: Any, most: Any = -1) -> int:
    """A short text may become a very long one."""
    if any(each.__class__ is not str for each in (text, old, new)) or most.__class__ is not int:
        return 0
    count: int = text.count(old)
    return max(0, len(new) - len(old)) * (min(count, most) if most >= 0 else count) >> 6


def _weight_of_joining(parts: Any, separator: Any = "") -> int:
    """What is joined may be one text many times over."""
    if parts.__class__ is not list or separator.__class__ is not str:
        return 0
    return (len(separator) * len(parts) + sum(len(each) for each in parts if each.__class__ is str)) >> 6


def _weight_of_searching_backwards(text: Any, part: Any, _: Any = 0) -> int:
    """Python may compare nearly all of the part at each place."""
    return len(text) * len(part) >> 10 if text.__class__ is part.__class__ is str else 0


def _method(name: str, *shapes: tuple[type, ...], do: Callable[..., Any]) -> None:
    STRINGS.method(name, {(str, *shape): do for shape in shapes})


_method("charAt", (int,), do=_char_at)
_method("indexOf", (str,), (str, int), do=_index_of)
STRINGS.method("lastIndexOf", {(str, str): _last_index_of, (str, str, int): _last_index_before})
_method("lowerAscii", (), do=lambda text: text.translate(_TO_LOWER))
_method("upperAscii", (), do=lambda text: text.translate(_TO_UPPER))
_method("replace", (str, str), (str, str, int), do=_replaced)
_method("split", (str,), (str, int), do=_split)
_method("substring", (int,), (int, int), do=_substring)
_method("trim", (), do=lambda text: text.strip(_SPACES))
_method("reverse", (), do=lambda text: text[::-1])
_method("format", (list,), do=formatted)
STRINGS.method("join", {(list,): _joined, (list, str): _joined})
STRINGS.weigh("replace", _weight_of_replacing)
STRINGS.weigh("join", _weight_of_joining)
STRINGS.weigh("format", lambda _, values: weight_of(values, MOST_WEIGHT))
STRINGS.weigh("lastIndexOf", _weight_of_searching_backwards)
STRINGS.function("strings.quote", {(str,): _quoted})
