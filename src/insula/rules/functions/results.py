"""The types that functions answer with, as far as they do not depend on what they are given."""

from __future__ import annotations

from insula.rules.types import BOOL, BYTES, DOUBLE, DURATION, DYN, INT, STRING, TIMESTAMP, TYPE, UINT, Type, list_of

_TEXTS = "charAt format join lowerAscii upperAscii replace reverse substring trim string quote encode"
_BOOLS = "bool contains startsWith endsWith matches hasValue isNaN isInf isFinite"
_INTS = "int size indexOf lastIndexOf getFullYear getMonth getDayOfMonth getDate getDayOfYear getDayOfWeek getHours"

RESULTS: dict[str, Type] = {
    **dict.fromkeys(_TEXTS.split(), STRING),
    **dict.fromkeys(_BOOLS.split(), BOOL),
    **dict.fromkeys(_INTS.split(), INT),
    **dict.fromkeys(["getMinutes", "getSeconds", "getMilliseconds"], INT),
    **dict.fromkeys(["ceil", "floor", "trunc", "round", "sqrt", "double"], DOUBLE),
    "uint": UINT,
    "bytes": BYTES,
    "decode": BYTES,
    "timestamp": TIMESTAMP,
    "duration": DURATION,
    "split": list_of(STRING),
    "type": TYPE,
    "dyn": DYN,
}
