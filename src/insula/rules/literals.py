"""Values as they are written in a CEL text, read and written. Source: cel-spec, `langdef.md`, "Syntax"."""

from __future__ import annotations

import math
import re

from insula.rules.errors import RuleSyntaxError
from insula.rules.values import INT_MAX, INT_MIN, UINT_MAX, UInt

_ESCAPE = re.compile(
    r"\\(?:(?P<plain>[abfnrtv\\?\"'`])|[xX](?P<hex>[0-9a-fA-F]{2})|(?P<octal>[0-3][0-7]{2})"
    r"|u(?P<short>[0-9a-fA-F]{4})|U(?P<long>[0-9a-fA-F]{8}))"
)
_PLAIN = dict(zip("abfnrtv", "\a\b\f\n\r\t\v", strict=True))
_WRITTEN = {after: f"\\{letter}" for letter, after in _PLAIN.items()} | {"\\": "\\\\", '"': '\\"'}
_SURROGATES = range(0xD800, 0xE000)


def read_string(source: str, begin: int, end: int) -> str:
    """The string between two places of a text, its escapes resolved. Raises `RuleSyntaxError`."""
    return "".join(_unescaped(source, begin, end, in_bytes=False))


def read_bytes(source: str, begin: int, end: int) -> bytes:
    """The same for bytes: what is not escaped counts as UTF-8, an escape is one byte."""
    written = bytearray()
    for part in _unescaped(source, begin, end, in_bytes=True):
        written += part.encode("latin-1") if isinstance(part, _Byte) else raw_bytes(part)
    return bytes(written)


def raw_bytes(text: str) -> bytes:
    """Text as bytes; half a surrogate pair, which no file can have, stays what it is."""
    return text.encode("utf-8", "surrogatepass")


class _Byte(str):
    """A character that stands for one byte."""

    __slots__ = ()


def _unescaped(source: str, begin: int, end: int, *, in_bytes: bool) -> list[str]:
    parts, at = [], begin
    while (backslash := source.find("\\", at, end)) >= 0:
        found = _ESCAPE.match(source, backslash, end)
        if found is None:
            raise RuleSyntaxError(
                source, backslash, 'no such escape; write a backslash as "\\\\", or put an r before the quotes'
            )
        parts += [source[at:backslash], _escaped(source, found, in_bytes=in_bytes)]
        at = found.end()
    return [*parts, source[at:end]]


def _escaped(source: str, found: re.Match[str], *, in_bytes: bool) -> str:
    if (plain := found["plain"]) is not None:
        return _PLAIN.get(plain, plain)
    code = int(found["octal"], 8) if found["octal"] else int(found["hex"] or found["short"] or found["long"], 16)
    if in_bytes:
        if found["short"] or found["long"]:
            raise RuleSyntaxError(source, found.start(), "bytes have no \\u; write \\x and two digits for each byte")
        return _Byte(chr(code))
    if code > 0x10FFFF or code in _SURROGATES:
        raise RuleSyntaxError(source, found.start(), f"U+{code:04X} is no character")
    return chr(code)


def read_int(source: str, at: int, text: str, *, negative: bool = False) -> int:
    """A signed integer, decimal or hexadecimal. Raises `RuleSyntaxError` where it has more than 64 bits."""
    value = _integer(source, at, text)
    value = -value if negative else value
    if not INT_MIN <= value <= INT_MAX:
        raise RuleSyntaxError(source, at, f"an int lies between {INT_MIN} and {INT_MAX}; a uint ends with u")
    return value


def read_uint(source: str, at: int, text: str) -> UInt:
    """An unsigned integer, its u left out. Raises `RuleSyntaxError` where it has more than 64 bits."""
    value = _integer(source, at, text)
    if value > UINT_MAX:
        raise RuleSyntaxError(source, at, f"a uint lies between 0 and {UINT_MAX}")
    return UInt(value)


def _integer(source: str, at: int, text: str) -> int:
    digits, base = (text[2:], 16) if text[:2] in ("0x", "0X") else (text, 10)
    if len(digits) > 64 and len(digits.lstrip("0")) > 64:  # the time to read them grows with their square
        raise RuleSyntaxError(source, at, "a number has no more than 64 bits")
    return int(digits.lstrip("0") or "0", base)


def read_float(source: str, at: int, text: str) -> float:
    """A double. Raises `RuleSyntaxError` where it is larger than there are."""
    value = float(text)
    if math.isinf(value):
        raise RuleSyntaxError(source, at, "a double is less than 1.8e308")
    return value


def write(value: bool | float | str | bytes | None) -> str:
    """A value as it stands in a text, which reads back as the same value of the same type."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value).replace("e+", "e")
    if isinstance(value, int):
        return f"{int(value)}u" if isinstance(value, UInt) else str(value)
    if isinstance(value, bytes):
        return f'b"{"".join(_written_byte(each) for each in value)}"'
    return f'"{"".join(_written(each) for each in value)}"'


def _written(character: str) -> str:
    known = _WRITTEN.get(character)
    if known is not None:
        return known
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _written_byte(byte: int) -> str:
    character = chr(byte)
    return _WRITTEN.get(character) or (character if " " <= character <= "~" else f"\\x{byte:02x}")
