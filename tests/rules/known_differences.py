"""Where two other implementations of CEL answer what the specification does not say, each with what it says.

A difference is known for the smallest part of an expression that is answered differently, never for a whole expression.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from insula.rules.tree import Binary, Call, Connective, Index, Node, Unary
from insula.rules.values import INT_MIN

ERROR = "error"
Answer = tuple[str, Any]
"""The name of a type, or `ERROR`, and the value."""


@dataclass(frozen=True)
class Part:
    """The smallest part that is answered differently. Parameters: `ask`, how Insula answers what it is made of."""

    node: Node
    ours: Answer
    theirs: Answer
    ask: Callable[[Node], Answer]

    def calls(self, *functions: str) -> bool:
        """Whether it is a call of one of these."""
        return isinstance(self.node, Call) and self.node.function in functions

    @property
    def fails_there(self) -> bool:
        """Whether the other one has no answer."""
        return self.theirs[0] == ERROR

    @cached_property
    def takes(self) -> list[str]:
        """The types of what it is made of."""
        return [self.ask(each)[0] for each in self.node.parts]

    def says(self, text: str) -> bool:
        """Whether the other one's error says this."""
        return self.fails_there and text in self.theirs[1]


@dataclass(frozen=True)
class Difference:
    """Parameters: `example`, the smallest expression; `specification`, what it says about this, in its words or by its
    conformance tests, or what the first implementation does where it says nothing.
    """

    example: str
    what: str
    specification: str
    applies: Callable[[Part], bool]


CEL_PYTHON = [
    Difference(
        "string(true)",
        "a bool as text begins with a capital",
        '"true" and "false" are the literals of bool; cel-go writes them so, and `bool("True")` reads both',
        lambda part: part.calls("string") and part.takes == ["bool"] and part.theirs[1] == part.ours[1].title(),
    ),
    Difference(
        "string(3.0)",
        "a whole double as text ends with .0, an infinite one is inf, an exponent is Python's",
        "nothing but the conformance case conversions/string/double: 123.456 as it is; cel-go, the reference, writes "
        "strconv.FormatFloat(value, 'g', -1, 64), with an exponent from 1e21 on",
        lambda part: part.calls("string") and part.takes == ["double"] and part.theirs[0] == "string",
    ),
    Difference(
        "string(duration('1.5s'))",
        "a duration or timestamp as text loses its fraction, or is a timedelta as Python writes it",
        'conformance, timestamps/duration_conversions/toString_duration: `string(duration("1000000s"))` is "1000000s"; '
        'a timestamp is written "according to RFC3339"',
        lambda part: part.calls("string") and part.takes[0] in ("duration", "timestamp") and part.theirs[0] == "string",
    ),
    Difference(
        "(duration('1h') - duration('1s')).getHours()",
        "a difference of durations or timestamps has no parts",
        '"google.protobuf.Duration.() -> int: get hours from duration"',
        lambda part: part.calls("getHours", "getMinutes", "getSeconds") and part.says("'datetime.timedelta' object"),
    ),
    Difference(
        "(s + s).contains('a')",
        "a text that is joined of others has no functions",
        '"string.(string) -> bool: Tests whether the string operand contains the substring"',
        lambda part: part.calls("contains", "startsWith", "endsWith", "matches") and part.says("'str' object"),
    ),
    Difference(
        "[1, 2].map(x, x > 1, x + 1)",
        "map() with a condition is missing",
        'cel-go, macros: "map(x, p, t): transforms the elements that satisfy p"',
        lambda part: part.calls("map") and part.says("too many values to unpack"),
    ),
    Difference(
        "int(double(-9223372036854775808))",
        "the least int may come from a double",
        'conformance, conversions/int/double_int_min_range: "int(-9223372036854775808.0)" is an error',
        lambda part: part.calls("int") and part.takes == ["double"] and part.theirs == ("int", INT_MIN),
    ),
    Difference(
        "int(timestamp('1969-12-31T23:59:59Z') - duration('1.5s'))",
        "a moment before 1970 with a fraction is rounded up to seconds",
        '"Convert timestamp to int64 in seconds since Unix epoch": a Timestamp has seconds and nanoseconds from 0 on',
        lambda part: part.calls("int") and part.takes == ["timestamp"] and part.theirs == ("int", part.ours[1] + 1),
    ),
    Difference(
        "timestamp('1969')",
        "a year alone is a timestamp",
        '"Type conversion of strings to timestamps according to RFC3339"',
        lambda part: part.calls("timestamp") and part.ours[0] == ERROR and part.theirs[1].endswith("-01-01T00:00:00Z"),
    ),
    Difference(
        "bool('7')",
        "every text that begins as a number is a bool",
        "conformance, conversions/bool: 1, t, T, TRUE, true, True, and the same for false, those of Go's ParseBool",
        lambda part: part.calls("bool") and part.takes == ["string"] and part.ours[0] == ERROR,
    ),
    Difference(
        "[0].exists_one(x, 1 / x > 0) || true",
        "an error within exists_one() passes || and &&",
        '"If any of their operands uniquely determines the result the other operand may or may not be evaluated, and '
        'if that evaluation produces a runtime error, it will be ignored."',
        lambda part: isinstance(part.node, Connective) and part.fails_there and ERROR in part.takes,
    ),
    Difference(
        "duration('0')",
        'duration("0") is an error',
        'nothing: "duration should end with s"; cel-go reads it by Go\'s ParseDuration, where "0" needs no unit',
        lambda part: part.calls("duration") and part.says("Invalid duration") and part.ours == ("duration", "0s"),
    ),
    Difference(
        "{'k': 1, 'z': m.z}",
        "the error of an element does not reach the list or map that it is in",
        '"List, Map, and Message expressions: each sub-expression is evaluated and if any sub-expression results in an '
        'error, this expression results in an error."',
        lambda part: type(part.node).__name__ in ("ListOf", "MapOf") and part.ours[0] == ERROR,
    ),
    Difference(
        "[1, 2, 3][-1]",
        "a negative number counts from the end of a list",
        '"list indexing" begins with 0; cel-go: "index out of bounds: -1"',
        lambda part: isinstance(part.node, Index) and part.takes[0] == "list" and "no element -" in str(part.ours[1]),
    ),
    Difference(
        "uint(-0.5)",
        "a negative double above -1 becomes the uint 0",
        '"An error is also raised for conversions which exceed the range of the target type."',
        lambda part: part.calls("uint") and part.takes == ["double"] and part.theirs == ("uint", 0),
    ),
    Difference(
        "d / 0.0",
        "a negative double divided by zero is infinite without its sign",
        '"64-bit IEEE 754 double-precision floating point": -1.0 / 0.0 is -infinity there',
        lambda part: _divides(part) and part.ours[0] == "double" and part.theirs[0] in ("double", ERROR),
    ),
]
"""Of cel-python 0.5.0."""

CEL_RUST = [
    Difference(
        "bool('true')",
        "some functions of the standard are missing for some types",
        '"The implementation will also provide function bindings for at least all the standard functions"',
        lambda part: (
            isinstance(part.node, Call) and part.says(f"Undefined variable or function: '{part.node.function}'")
        ),
    ),
    Difference(
        "string(duration('90s'))",
        "a duration as text has hours and minutes, and a negative one is about -2^64 nanoseconds",
        'conformance, timestamps/duration_conversions/toString_duration: `string(duration("1000000s"))` is "1000000s"',
        lambda part: part.calls("string") and part.takes == ["duration"] and part.theirs[0] == "string",
    ),
    Difference(
        "string(timestamp('2020-02-29T00:00:00Z'))",
        "a timestamp as text ends with +00:00",
        "a text of a timestamp is one of RFC 3339; cel-go, and JSON of Protocol Buffers, end one in UTC with Z",
        lambda part: part.calls("string") and part.takes == ["timestamp"] and part.theirs[1].endswith("+00:00"),
    ),
    Difference(
        "string(1e300)",
        "a large double as text has all its digits, an infinite one is inf",
        "nothing but conversions/string/double; cel-go writes strconv.FormatFloat(value, 'g', -1, 64)",
        lambda part: part.calls("string") and part.takes == ["double"] and part.theirs[0] == "string",
    ),
    Difference(
        "size('ä')",
        "the size of a text is that of its bytes",
        '"size: string.() -> int: string length"; "Strings are sequences of Unicode code points"',
        lambda part: part.calls("size") and part.takes == ["string"] and part.theirs[0] == "int",
    ),
    Difference(
        "0.0 < 0.0 / 0.0",
        "there is no order between a number and NaN",
        '"Ordering operators are defined for `int`, `uint`, `double`"; in IEEE 754 every order with NaN is false',
        lambda part: isinstance(part.node, Binary) and part.takes == ["double"] * 2 and part.says("No such overload"),
    ),
    Difference(
        "[0, 2].all(x, 1 / x > 0)",
        "an error of an element ends all() and exists()",
        '"If any predicate evaluates to false, the macro evaluates to false, ignoring any errors from other '
        'predicates."',
        lambda part: part.calls("all", "exists") and part.ours[0] == "bool" and part.says("division by zero"),
    ),
    Difference(
        "-9223372036854775808 % -m.k",
        "the remainder of the least int is an overflow, though it is 0",
        '"Arithmetic operations raise an error when the results exceed the range of the integer type."',
        lambda part: isinstance(part.node, Binary) and part.ours == ("int", 0) and part.says("overflow in 'rem'"),
    ),
    Difference(
        "-(true ? -9223372036854775808 : 0)",
        "the least int is its own negative",
        '"Arithmetic operations raise an error when the results exceed the range of the integer type."',
        lambda part: isinstance(part.node, Unary) and part.ours[0] == ERROR and part.theirs == ("int", INT_MIN),
    ),
    Difference(
        "type(a)",
        "a type is a text",
        '"As types are values, those values (`int`, `string`, etc.) also have a type: the type `type`"',
        lambda part: part.ours[0] == "type" and part.theirs == ("string", part.ours[1]),
    ),
]
"""Of common-expression-language 0.10.0, which is cel-rust."""


def _divides(part: Part) -> bool:
    return isinstance(part.node, Binary) and part.node.operator == "/" and part.takes == ["double", "double"]
