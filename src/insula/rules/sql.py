"""A rule as a condition of SQL, true for exactly the rows for which the rule is true.

What has no answer is NULL there: `&&`, `||` and `!` treat an error as SQL treats NULL. Equality is different, since
null equals null in CEL, and becomes IS NOT DISTINCT FROM. What databases answer differently from each other or from
CEL is refused by name.
"""

from __future__ import annotations

import math
import operator as operators
from collections.abc import Callable
from datetime import date
from typing import TYPE_CHECKING, Any

from insula.rules.errors import EvaluationError, RuleError
from insula.rules.moments import Timestamp
from insula.rules.text import to_text
from insula.rules.tree import Binary, Call, Conditional, Connective, ListOf, Literal, Node, Predicate, Unary
from insula.rules.usage import dotted

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement

_EXACT = 2**53
_TEXTS = ("String", "Text", "Unicode", "UnicodeText", "VARCHAR", "NVARCHAR", "TEXT")
_SINGLE_PRECISION = 24
"""The most bits of a number of four bytes."""
_ORDERS: dict[str, Callable[[Any, Any], Any]] = {
    "<": operators.lt, "<=": operators.le, ">": operators.gt, ">=": operators.ge,
}  # fmt: skip
_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}


def to_sql(tree: Node, columns: Any, *, naive_is_utc: bool = False) -> ColumnElement[bool]:
    """The condition. Parameters: as for `Specification.to_sql`. Raises `RuleError`."""
    condition: ColumnElement[bool] = _Translation(columns, naive_is_utc=naive_is_utc).condition(tree)
    return condition


class _Translation:
    def __init__(self, columns: Any, *, naive_is_utc: bool) -> None:
        import sqlalchemy

        from insula.rules import sql_moments
        from insula.rules.sql_columns import columns_of

        self._sql = sqlalchemy
        self._moments = sql_moments
        self._naive_is_utc = naive_is_utc
        self._texts = {getattr(sqlalchemy, name) for name in _TEXTS}
        self._columns = columns_of(columns)

    def condition(self, node: Node) -> Any:
        """A part that is true, false or NULL."""
        if isinstance(node, Connective):
            joined = self._sql.and_ if node.operator == Connective.AND else self._sql.or_
            return joined(*map(self.condition, node.operands))
        if isinstance(node, Unary) and node.operator == "!":
            return self._sql.not_(self.condition(node.operand))
        if isinstance(node, Conditional):
            return self._conditional(node)
        if isinstance(node, Literal) and node.value.__class__ is bool:
            return self._sql.true() if node.value else self._sql.false()
        if isinstance(node, Binary):
            return self._comparison(node)
        if isinstance(node, Call):
            return self._call(node)
        if isinstance(node, Predicate):
            raise RuleError(f"to_sql: {node.name} is a plain predicate; SQL knows nothing of it")
        column = self._column(node)
        if not isinstance(column.type, self._sql.Boolean):
            raise _refused(node, "it is no condition: the column holds no booleans")
        return column

    def _conditional(self, node: Conditional) -> Any:
        condition = self.condition(node.condition)
        return self._sql.case(
            (condition, self.condition(node.then)), (self._sql.not_(condition), self.condition(node.otherwise)),
            else_=self._sql.null(),
        )  # fmt: skip

    def _column(self, node: Node) -> Any:
        path = dotted(node)
        if path is None:
            raise _refused(node, "only fields, values and comparisons of them become SQL")
        found = self._columns.get(path)
        if found is None:
            found = self._columns.get(path.replace(".", "_"))
        if found is None:
            raise RuleError(f"to_sql: there is no column for {path}; there are {', '.join(self._columns.keys())}")
        return found

    # -- comparisons

    def _comparison(self, node: Binary) -> Any:
        operator, left, right = node.operator, node.left, node.right
        if operator == "in":
            return self._membership(node)
        if operator not in _MIRRORED:
            raise _refused(node, "databases answer arithmetic differently where numbers are large")
        if _is_constant(left):
            operator, left, right = _MIRRORED[operator], right, left
        if _is_constant(left):
            raise _refused(node, "it compares two values and no column")
        column, size = self._measured(left)
        if _is_constant(right):
            other = self._value(node, column, _constant(node, right), size=size)
        else:
            other = self._column(right)
            self._check_alike(node, column, other)
        if operator in _ORDERS:
            self._check_order(node, column)
            return self._in_order(operator, self._as_compared(node, column), self._as_compared(node, other))
        equal = self._equal(self._as_compared(node, column), self._as_compared(node, other), size=size)
        if isinstance(column.type, self._sql.Float) and not _is_constant(right):
            equal = self._sql.and_(equal, self._sql.or_(column.is_(None), self._is_no_nan(column)))
        return equal if operator == "==" else self._sql.not_(equal)

    def _as_compared(self, node: Node, operand: Any) -> Any:
        """A column of moments as it can be compared, anything else as it is."""
        if not (self._is_column(operand) and self._moments.is_moment(operand.type)):
            return operand
        if not (operand.type.timezone or self._naive_is_utc):
            raise _refused(node, f"the column {self._moments.NAIVE}; {self._moments.REMEDY}")
        return self._moments.moment(operand, naive_is_utc=self._naive_is_utc)

    def _in_order(self, operator: str, column: Any, other: Any) -> Any:
        """NaN is less than nothing and greater than nothing, but PostgreSQL takes it for the greatest number of all."""
        ordered = _ORDERS[operator](column, other)
        less, greater = (column, other) if operator in ("<", "<=") else (other, column)
        if not self._is_column_of_doubles(greater):
            return ordered
        no_nan = self._is_no_nan(greater)
        # What is compared with NULL has no answer, NaN neither.
        return self._sql.and_(ordered, self._sql.or_(less.is_(None), no_nan) if self._is_column(less) else no_nan)

    def _is_column(self, operand: Any) -> bool:
        return isinstance(operand, self._sql.ColumnElement) and not isinstance(operand, self._sql.BindParameter)

    def _is_column_of_doubles(self, operand: Any) -> bool:
        return self._is_column(operand) and isinstance(operand.type, self._sql.Float)

    def _is_no_nan(self, column: Any) -> Any:
        return column <= self._sql.literal(math.inf, self._sql.Float())

    @staticmethod
    def _equal(column: Any, other: Any, *, size: bool) -> Any:
        """Null equals null, but what is missing has no size that could be equal to anything."""
        return column == other if size else column.is_not_distinct_from(other)

    def _measured(self, node: Node) -> tuple[Any, bool]:
        """A column, or the length of one."""
        if not (isinstance(node, Call) and node.function == "size"):
            return self._column(node), False
        of = node.target if node.target is not None else node.arguments[0]
        column = self._column(of)
        if not self._is_text(column.type):
            raise _refused(node, "only a text has a length in SQL")
        return self._sql.func.length(column, type_=self._sql.Integer()), True

    def _value(self, node: Node, column: Any, value: Any, *, size: bool) -> Any:
        """The value as the column's type has it. Raises `RuleError` where the two cannot be compared alike."""
        kind = column.type
        if value is None:
            if size:
                raise _refused(node, "a length is never null")
            return self._sql.null()
        if isinstance(kind, self._sql.Date) and isinstance(value, str):
            return self._date(node, value)
        if self._moments.is_moment(kind):
            return self._moment(node, kind, value)
        fits = (
            (isinstance(kind, self._sql.Boolean) and value.__class__ is bool)
            or (self._is_text(kind) and value.__class__ is str)
            or (self._is_number(kind) and value.__class__ in (int, float) and abs(value) < _EXACT)
        )
        if not fits:
            raise _refused(node, f"a column of {kind!r} is not compared with {type(value).__name__} as CEL does it")
        return self._sql.literal(self._text(node, value) if value.__class__ is str else value)

    def _is_text(self, kind: Any) -> bool:
        """CHAR is left out, which ignores spaces at the end, and what compares by rules of its own."""
        return type(kind) in self._texts and kind.collation is None

    def _is_number(self, kind: Any) -> bool:
        """Decimals are left out: a rule sees them as doubles, a database does not."""
        return isinstance(kind, self._sql.Integer) or self._is_double(kind)

    def _is_double(self, kind: Any) -> bool:
        """Single precision is left out: 0.1 is another number there."""
        if not isinstance(kind, self._sql.Float) or isinstance(kind, self._sql.REAL):
            return False
        return kind.precision is None or kind.precision > _SINGLE_PRECISION

    @staticmethod
    def _text(node: Node, text: str) -> str:
        if "\0" in text or text.encode(errors="replace").decode() != text:
            raise _refused(node, "not every database holds a text with NUL or half a character in it")
        return text

    @staticmethod
    def _date(node: Node, text: str) -> date:
        try:
            found = date.fromisoformat(text)
        except ValueError:
            found = None
        if found is None or found.isoformat() != text:
            raise _refused(node, 'a date is compared with one such as "2030-01-31"')
        return found

    def _moment(self, node: Node, kind: Any, value: Any) -> Any:
        """In UTC, with a time zone where the column has one."""
        if value.__class__ is not Timestamp:
            raise _refused(node, 'a moment is compared with one such as timestamp("2030-01-31T12:00:00Z")')
        if value.nanoseconds % 1000:
            raise _refused(node, "no column holds parts of a microsecond")
        moment = value.at() if kind.timezone else value.at().replace(tzinfo=None)
        return self._sql.literal(moment, self._sql.DateTime(timezone=kind.timezone))

    def _check_alike(self, node: Node, left: Any, right: Any) -> None:
        kinds = (self._sql.Boolean, self._sql.Integer, self._sql.Date)
        same = any(isinstance(left.type, kind) and isinstance(right.type, kind) for kind in kinds)
        alike = any(is_kind(left.type) and is_kind(right.type) for is_kind in (self._is_text, self._is_double))
        moments = self._moments.is_moment(left.type) and self._moments.is_moment(right.type)
        if not same and not alike and not (moments and left.type.timezone == right.type.timezone):
            raise _refused(node, f"columns of {left.type!r} and {right.type!r} are not compared as CEL does it")

    def _check_order(self, node: Node, column: Any) -> None:
        if isinstance(column.type, self._sql.String):
            raise _refused(node, "how texts are ordered depends on the database")
        if isinstance(column.type, self._sql.Boolean):
            raise _refused(node, "not every database has an order of booleans")

    def _membership(self, node: Binary) -> Any:
        if not isinstance(node.right, ListOf) or not all(map(_is_constant, node.right.elements)):
            raise _refused(node, "only a list of values becomes SQL")
        column, size = self._measured(node.left)
        values = [self._value(node, column, _constant(node, each), size=size) for each in node.right.elements]
        compared = self._as_compared(node, column)
        tests = [self._equal(compared, each, size=size) for each in values]
        if size and not tests:  # false for every text, but without answer for NULL
            return self._sql.case((column.is_not(None), self._sql.false()), else_=self._sql.null())
        if compared is not column and not tests:  # false, but refused by a database that drops time zones
            return self._sql.case((compared.is_(None), self._sql.false()), else_=self._sql.false())
        return self._sql.or_(self._sql.false(), *tests)

    # -- functions on texts

    def _call(self, node: Call) -> Any:
        test = {"startsWith": self._starts, "endsWith": self._ends, "contains": self._contains}.get(node.function)
        if test is None or node.target is None or len(node.arguments) != 1:
            raise _refused(node, f"{node.function}() has no counterpart that answers alike everywhere")
        (argument,) = node.arguments
        if not (isinstance(argument, Literal) and isinstance(argument.value, str)):
            raise _refused(node, "what is looked for has to be a text in the rule")
        column = self._column(node.target)
        if not self._is_text(column.type):
            raise _refused(node, "the column holds no texts")
        if not argument.value:  # true for every text, but without answer for NULL
            return self._sql.case((column.is_not(None), self._sql.true()), else_=self._sql.null())
        return test(column, self._text(node, argument.value))

    def _starts(self, column: Any, text: str) -> Any:
        return self._sql.func.substr(column, 1, len(text)) == text

    def _ends(self, column: Any, text: str) -> Any:
        length, null = self._sql.func.length(column), self._sql.null()
        ends = self._sql.func.substr(column, length - (len(text) - 1), len(text)) == text
        return self._sql.case((length >= len(text), ends), (length < len(text), self._sql.false()), else_=null)

    def _contains(self, column: Any, text: str) -> Any:
        # LIKE is blind to case in one database, and INSTR is missing in another.
        length = self._sql.func.length
        return length(self._sql.func.replace(column, text, "")) < length(column)


def _is_constant(node: Node) -> bool:
    """Whether it is a value, or a moment or length of time that is made from one."""
    if isinstance(node, Call) and node.function in ("timestamp", "duration") and node.target is None:
        return len(node.arguments) == 1 and isinstance(node.arguments[0], Literal)
    return isinstance(node, Literal)


def _constant(node: Node, constant: Node) -> Any:
    """The value. Parameters: `node`, of which it is part. Raises `RuleError` where there is none in SQL."""
    if isinstance(constant, Literal):
        return constant.value
    (argument,) = constant.parts
    text = argument.value if isinstance(argument, Literal) else None
    if not (isinstance(constant, Call) and constant.function == "timestamp"):
        raise _refused(node, "databases keep lengths of time in different ways; compare moments, or numbers of seconds")
    if not isinstance(text, str):
        raise _refused(node, 'a moment is written as timestamp("2030-01-31T12:00:00Z")')
    try:
        return Timestamp.parse(text)
    except EvaluationError as error:
        raise _refused(node, str(error)) from None


def _refused(node: Node, reason: str) -> RuleError:
    return RuleError(f"to_sql: {to_text(node)}: {reason}")
