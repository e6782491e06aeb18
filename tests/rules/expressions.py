"""Expressions of CEL as texts, each of a type that is known, so that most of them have an answer."""

from __future__ import annotations

from functools import cache

from hypothesis import strategies as some
from hypothesis.strategies import SearchStrategy

Texts = SearchStrategy[str]

SUBJECTS = {"a": 5, "b": True, "d": -0.5, "s": "abc", "xs": [3, 1, 2], "m": {"k": 1, "n": None, "deep": {"t": "x"}}}
"""What the expressions are asked about."""

ATOMS = {
    "int": "0 1 -1 2 7 -3 a 9223372036854775807 -9223372036854775808 m.k m['k'] m.z",
    "uint": "0u 1u 7u 18446744073709551615u",
    "double": "0.0 1.5 -2.5 3.0 1e300 d 9007199254740993.0",
    "bool": "true false b has(m.k) has(m.z) has(m.n) has(m.deep.t)",
    "string": "'' 'a' 'abc' 'ä' s 'A' '12' '-7' 'true' '1.5' m.deep.t",
    "bytes": "b'' b'a' b'abc'",
    "list": "[] [1] [1,2,3] xs [2,2]",
    "texts": "[] ['a'] ['a','ab','abc']",
    "map": "{} m {'k':1} {'k':2,'z':3}",
    "timestamp": "timestamp('2009-02-13T23:31:30Z') timestamp('2020-02-29T00:00:00Z')"
    " timestamp('1969-12-31T23:59:59Z')",
    "duration": "duration('1h') duration('90s') duration('1.5s') duration('-3m')",
}
DEPTH = 3

_DATES = "getFullYear getMonth getDayOfMonth getDate getDayOfWeek getDayOfYear getHours getMinutes getSeconds"
_ORDERS = "< <= > >= == !="
_ZONES = "'UTC' '+02:00' '-03:30' 'Europe/Vienna'"


def _among(words: str) -> Texts:
    return some.sampled_from(words.split())


def _shaped(shape: str, depth: int) -> Texts:
    """A text in which each word in braces stands for an expression of that type, and `{a|b}` for one of these."""
    parts = list[Texts]()
    for piece in shape.replace("}", "{").split("{"):
        if piece in ATOMS:
            parts.append(expressions(piece, depth - 1))
        elif "|" in piece and len(parts) % 2:
            parts.append(some.sampled_from(piece.split("|")))
        else:
            parts.append(some.just(piece))
    return some.tuples(*parts).map("".join)


SHAPES = {
    "int": [
        "({int} {+|-|*|/|%} {int})", "int({uint})", "int({double})", "int({string})", "int({timestamp})",
        "size({string})", "size({bytes})", "{list}.size()", "size({map})", "({bool} ? {int} : {int})", "-({int})",
        f"{{timestamp}}.{{{_DATES.replace(' ', '|')}}}()", "{duration}.{getHours|getMinutes|getSeconds}()",
        f"{{timestamp}}.{{{_DATES.replace(' ', '|')}}}({{{_ZONES.replace(' ', '|')}}})",
        "{list}[{int}]", "{map}.k", "{map}[{string}]",
    ],
    "uint": ["({uint} {+|-|*|/|%} {uint})", "uint({int})", "uint({double})", "uint({string})"],
    "double": ["({double} {+|-|*|/} {double})", "double({int})", "double({uint})", "double({string})", "-({double})"],
    "bool": [
        "({bool} && {bool})", "({bool} || {bool})", "!({bool})", "({bool} ? {bool} : {bool})",
        "({int} {<|<=|>|>=|==|!=} {int})", "({uint} {<|<=|>|>=|==|!=} {uint})", "({double} {<|>=|==|!=} {double})",
        "({string} {<|<=|==|!=} {string})", "({bytes} {<|==|!=} {bytes})", "({timestamp} {<|>=|==} {timestamp})",
        "({duration} {<|>=|==} {duration})", "({list} {==|!=} {list})", "({map} {==|!=} {map})",
        "{string}.{startsWith|endsWith|contains}({string})", "({int} in {list})", "({string} in {texts})",
        "({string} in {map})", "bool({string})", "{string}.matches('{a+|^a|b$|[a-c]*|}')",
        "{list}.{all|exists|exists_one}(x, x {>|==|<} {int})",
        "{list}.{all|exists|exists_one}(x, 1 / x {>|==|<} {int})",
        "{map}.{all|exists|exists_one}(x, x == {string})", "has({map}.k)", "(type({int}) == {int|uint|string})",
    ],
    "string": [
        "({string} + {string})", "string({int})", "string({uint})", "string({double})", "string({bool})",
        "string({bytes})", "string({timestamp})", "string({duration})", "({bool} ? {string} : {string})",
    ],
    "bytes": ["({bytes} + {bytes})", "bytes({string})"],
    "list": [
        "({list} + {list})", "{list}.map(x, x {+|*|%} {int})", "{list}.filter(x, x {>|<|==} {int})",
        "[{int}, {int}]", "{list}.map(x, x > {int}, x + 1)", "({bool} ? {list} : {list})",
    ],
    "texts": ["({texts} + {texts})", "{texts}.map(x, x + {string})", "[{string}, {string}]"],
    "map": ["«'k': {int}, 'z': {int}»"],
    "timestamp": ["({timestamp} {+|-} {duration})", "timestamp({string})"],
    "duration": ["({duration} {+|-} {duration})", "({timestamp} - {timestamp})", "duration({string})"],
}  # fmt: skip
_REAL = str.maketrans({"«": "{", "»": "}"})


@cache
def expressions(kind: str, depth: int = DEPTH) -> Texts:
    """Those of a type."""
    atoms = _among(ATOMS[kind])
    if depth == 0:
        return atoms
    return some.one_of(atoms, *(_shaped(each, depth) for each in SHAPES[kind]))


def any_expression() -> Texts:
    """Those of every type."""
    return some.sampled_from(sorted(ATOMS)).flatmap(expressions).map(lambda text: text.translate(_REAL))
