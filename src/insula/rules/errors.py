"""What is wrong with a rule, and where."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from insula.kernel.errors import InsulaError


class RuleError(InsulaError):
    """A rule cannot be used, or cannot be answered for what it is asked about."""


class RuleSyntaxError(RuleError):
    """The text is no expression of CEL, or is larger than is allowed.

    The message shows the line with a caret under the place, and says what was expected there. `line` and `column`
    begin with 1.
    """

    def __init__(self, source: str, at: int, problem: str) -> None:
        self.problem = problem
        self.line = source.count("\n", 0, at) + 1
        begin = source.rfind("\n", 0, at) + 1
        self.column = at - begin + 1
        super().__init__(f"line {self.line}, column {self.column}: {problem}\n{_shown(source, begin, at)}")


_BEFORE, _WIDTH = 60, 100


def _shown(source: str, begin: int, at: int) -> str:
    """The line around a place, shortened where it is long, and a caret under the place."""
    end = source.find("\n", begin)
    line = source[begin : len(source) if end < 0 else end]
    column = at - begin
    cut = max(0, column - _BEFORE)
    shown = line[cut : cut + _WIDTH]
    # What is not printed, or printed wide, would move the caret.
    shown = "".join(each if each.isprintable() else " " for each in shown)
    return f"  {shown}\n  {' ' * (column - cut)}^"


class RuleTypeError(RuleSyntaxError):
    """A rule looks at what is not there, or does with it what its type does not allow."""


class EvaluationError(RuleError):
    """A rule has no answer for what it is asked about: a missing field, a division by zero, a number out of range."""


class NoSuchField(EvaluationError):
    """A field or key is not there."""


class NoOverload(EvaluationError):
    """An operator or function does not take values of these types."""


class BudgetExceeded(RuleError):
    """Answering would take more steps than are allowed. Unlike other errors, `&&` and `||` do not pass over it."""


WORDS_OF_CEL = {
    "and": '"and" is written "&&"', "or": '"or" is written "||"', "not": '"not" is written "!"',
    "is": '"is" is written "=="', "None": "None is written null", "True": "True is written true",
    "False": "False is written false", "len": "the length of something is size(x)", "length": "a length is x.size()",
    "any": "any is written x.exists(each, condition)", "lower": "lower is written x.lowerAscii()",
    "upper": "upper is written x.upperAscii()", "strip": "strip is written x.trim()", "str": "str is written string",
    "float": "float is written double", "abs": "abs is written math.abs(x)", "max": "max is written math.greatest(...)",
    "min": "min is written math.least(...)", "startswith": "it is written x.startsWith(...)",
    "endswith": "it is written x.endsWith(...)",
}  # fmt: skip
"""What those who come from Python or SQL write first."""


def hint(name: str, known: Iterable[str]) -> str:
    """How it is written in CEL, or the nearest of the known names, as the end of a message."""
    return f"; {WORDS_OF_CEL[name]}" if name in WORDS_OF_CEL else did_you_mean(name, known)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The nearest of the known names, as the end of a message; nothing where none is near."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""
