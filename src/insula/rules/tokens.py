"""The words of a CEL text. Source: cel-spec, `langdef.md`, "Syntax"."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from insula.rules.errors import RuleSyntaxError
from insula.rules.literals import raw_bytes, read_bytes, read_float, read_string, read_uint
from insula.rules.tree import Value


class Kind(Enum):
    """What sort of word it is."""

    NAME = "a name"
    QUOTED_NAME = "a quoted field"
    NUMBER = "a number"
    VALUE = "a value"
    SIGN = "a sign"
    END = "the end"


@dataclass(frozen=True, slots=True)
class Token:
    """A word: its text, where it begins, and what it stands for if it is a value."""

    kind: Kind
    text: str
    at: int
    value: Value = None

    def __str__(self) -> str:
        return "the end of the rule" if self.kind is Kind.END else self.text[:30]


_WORDS = re.compile(
    r"""
    (?P<space>    (?: [ \t\n\r\f] | //[^\n]* )+ )
  | (?P<opening>  (?P<prefix> [rR]?[bB]? | [bB][rR] ) (?P<quotes> \"\"\" | \'\'\' | \" | \' ) )
  | (?P<double>   [0-9]* \. [0-9]+ (?: [eE][+-]?[0-9]+ )? | [0-9]+ [eE][+-]?[0-9]+ )
  | (?P<integer>  0[xX][0-9a-fA-F]+ | [0-9]+ ) (?P<unsigned> [uU] )?
  | (?P<name>     [_a-zA-Z][_a-zA-Z0-9]* )
  | ` (?P<quoted> [a-zA-Z0-9_.\-/\ ]+ ) `
  | (?P<sign>     == | != | <= | >= | && | \|\| | [-+*/%<>!?:.,()\[\]{}] )
    """,
    re.VERBOSE,
)
_CLOSING = {quotes: re.compile(rf"\\[^\n]|{quotes}" if len(quotes) == 1 else rf"\\.|{quotes}", re.DOTALL) for quotes in
            ('"', "'", '"""', "\'\'\'")}  # fmt: skip
_CONSTANTS: dict[str, Value] = {"true": True, "false": False, "null": None}
_HINTS = {"=": 'equality is written "=="', "&": '"and" is written "&&"', "|": '"or" is written "||"'}


def tokens_of(source: str, most: int) -> list[Token]:
    """All words of a text, and one for its end. Raises `RuleSyntaxError`, also where there are more than `most`."""
    found, at, end = list[Token](), 0, len(source)
    while at < end:
        word = _WORDS.match(source, at)
        if word is None:
            hint = _HINTS.get(source[at], "that sign has no meaning here")
            raise RuleSyntaxError(source, at, hint)
        if word["space"] is None:
            token, at = _token(source, at, word)
            found.append(token)
            if len(found) > most:
                raise RuleSyntaxError(source, token.at, f"a rule has no more than {most} words")
        else:
            at = word.end()
    found.append(Token(Kind.END, "", end))
    return found


def _token(source: str, at: int, word: re.Match[str]) -> tuple[Token, int]:
    text = word[0]
    if word["opening"] is not None:
        return _quoted(source, at, word)
    if (sign := word["sign"]) is not None:
        return Token(Kind.SIGN, sign, at), word.end()
    if (name := word["name"]) is not None:
        if name in _CONSTANTS:
            return Token(Kind.VALUE, name, at, _CONSTANTS[name]), word.end()
        return Token(Kind.NAME, name, at), word.end()
    if (quoted := word["quoted"]) is not None:
        return Token(Kind.QUOTED_NAME, quoted, at), word.end()
    if word["double"] is not None:
        return Token(Kind.NUMBER, text, at, read_float(source, at, text)), word.end()
    if word["unsigned"] is not None:
        return Token(Kind.VALUE, text, at, read_uint(source, at, word["integer"])), word.end()
    # Its value is read with the sign before it: the least int has no positive counterpart.
    return Token(Kind.NUMBER, text, at), word.end()


def _quoted(source: str, at: int, word: re.Match[str]) -> tuple[Token, int]:
    quotes, prefix, begin = word["quotes"], word["prefix"].lower(), word.end()
    end = _end_of_quoted(source, begin, quotes, raw="r" in prefix)
    if end < 0:
        missing = "three closing quotes" if len(quotes) == 3 else "a closing quote on the same line"
        raise RuleSyntaxError(source, at, f"this text has no end; expected {missing}")
    read: Callable[[str, int, int], Value]
    if "r" in prefix:
        raw = source[begin:end]
        value: Value = raw_bytes(raw) if "b" in prefix else raw
    else:
        read = read_bytes if "b" in prefix else read_string
        value = read(source, begin, end)
    after = end + len(quotes)
    return Token(Kind.VALUE, source[at:after], at, value), after


def _end_of_quoted(source: str, begin: int, quotes: str, *, raw: bool) -> int:
    if raw:
        end = source.find(quotes, begin)
    else:
        end = next((each.start() for each in _CLOSING[quotes].finditer(source, begin) if each[0] == quotes), -1)
    if len(quotes) == 1 and end >= 0 and ("\n" in source[begin:end] or "\r" in source[begin:end]):
        return -1
    return end
