"""Reads a CEL text into its expression tree.

Recursive descent, by precedence. Source: cel-spec, `langdef.md`, "Syntax"; optional fields and elements from cel-go's
optional types.
"""

from __future__ import annotations

from dataclasses import dataclass

from insula.rules.errors import WORDS_OF_CEL, RuleError, RuleSyntaxError
from insula.rules.literals import read_int
from insula.rules.tokens import Kind, Token, tokens_of
from insula.rules.tree import (
    Assignment,
    Binary,
    Call,
    Conditional,
    Connective,
    Entry,
    Index,
    ListOf,
    Literal,
    MapOf,
    MessageOf,
    Name,
    Node,
    Select,
    Unary,
)

_OPERATORS_OF_OTHERS = frozenset(("and", "or", "not", "is"))
_CHAINED = frozenset((Connective.AND, Connective.OR))
RESERVED = frozenset(
    [
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "in",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
        "var",
        "void",
        "while",
    ]
)
"""Words that are no names of variables and functions; fields may be called so."""

_STRENGTHS = {"||": 1, "&&": 2} | dict.fromkeys(("<", "<=", ">=", ">", "==", "!=", "in"), 3)
_STRENGTHS |= dict.fromkeys("+-", 4) | dict.fromkeys("*/%", 5)
"""How strongly each operator holds its operands; of equal ones the left one is first."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a rule may be, so that one from outside costs little.

    Parameters: `characters` of its text (default 100,000); `words` (default 20,000); `depth` of its tree
    (default 100), in which a chain of `&&` or `||` counts as one.
    """

    characters: int = 100_000
    words: int = 20_000
    depth: int = 100


LIMITS = Limits()


def parse(source: str, limits: Limits = LIMITS) -> Node:
    """The tree of an expression. Raises `RuleSyntaxError` with line, caret and what was expected."""
    if not isinstance(source, str):
        raise RuleError(f"a rule is a text, not a {type(source).__name__}")
    if len(source) > limits.characters:
        raise RuleSyntaxError(source[:200], 0, f"a rule has no more than {limits.characters:,} characters")
    return _Parser(source, tokens_of(source, limits.words), limits.depth).whole()


class _Parser:
    """Descends into brackets only, at five calls a level, and deals with operators in between on a stack."""

    def __init__(self, source: str, tokens: list[Token], depth: int) -> None:
        self._source = source
        self._tokens = tokens
        self._next = 0
        self._limit = depth
        self._below = 0
        self._depths: dict[int, int] = {}
        """Node, by its identity -> how deep it is. All of them are held by those above, or by the caller."""

    def whole(self) -> Node:
        expression = self._expression()
        self._expect_end()
        return expression

    # -- words

    @property
    def _token(self) -> Token:
        return self._tokens[self._next]

    def _is(self, *signs: str) -> bool:
        token = self._token
        return token.kind is Kind.SIGN and token.text in signs

    def _take(self) -> Token:
        token = self._token
        self._next += 1
        return token

    def _took(self, sign: str) -> bool:
        if self._is(sign):
            self._next += 1
            return True
        return False

    def _expect(self, sign: str, where: str) -> None:
        if not self._took(sign):
            raise self._unexpected(f'"{sign}" {where}')

    def _expect_end(self) -> None:
        if self._token.kind is not Kind.END:
            raise self._unexpected("an operator, or the end")

    def _unexpected(self, expected: str) -> RuleSyntaxError:
        token = self._token
        for each in (token, self._tokens[max(0, self._next - 1)]):
            if each.kind is Kind.NAME and each.text in _OPERATORS_OF_OTHERS:
                return RuleSyntaxError(self._source, each.at, WORDS_OF_CEL[each.text])
        return RuleSyntaxError(self._source, token.at, f"expected {expected}; found {token}")

    # -- depth

    def _made(self, node: Node, levels: int = 1) -> Node:
        """A node that is not too deep to be answered. Parameters: `levels`, how many it adds to those of its parts."""
        depth = levels + max((self._depths[id(each)] for each in node.parts), default=0)
        self._check_depth(depth, node.at)
        self._depths[id(node)] = depth
        return node

    def _check_depth(self, depth: int, at: int) -> None:
        if depth > self._limit:
            raise RuleSyntaxError(self._source, at, f"a rule is nested no deeper than {self._limit}")

    # -- operators

    def _expression(self) -> Node:
        self._below += 1
        self._check_depth(self._below, self._token.at)
        found = self._operators()
        if self._is("?"):
            self._next += 1
            then = self._operators()
            self._expect(":", "and what the answer is otherwise")
            found = self._made(Conditional(found, then, self._expression(), at=found.at))
        self._below -= 1
        return found

    def _operators(self) -> Node:
        """Operands and the operators between them, each combined as soon as a weaker or equal one follows."""
        operands, waiting = [self._operand()], list[str]()
        while True:
            operator = self._operator()
            strength = 0 if operator is None else _STRENGTHS[operator]
            while waiting and _STRENGTHS[waiting[-1]] >= strength and waiting[-1] != operator:
                self._combine(operands, waiting)
            if operator is None:
                return operands[0]
            if waiting and waiting[-1] == operator and operator not in _CHAINED:
                self._combine(operands, waiting)
            self._next += 1
            waiting.append(operator)
            operands.append(self._operand())

    def _operator(self) -> str | None:
        token = self._token
        if token.kind is Kind.SIGN or (token.kind is Kind.NAME and token.text == "in"):
            return token.text if token.text in _STRENGTHS else None
        return None

    def _combine(self, operands: list[Node], waiting: list[str]) -> None:
        """Make one of the last operands: of two, or of a whole chain of `&&` or `||`."""
        operator, count = waiting.pop(), 2
        if operator in _CHAINED:
            while waiting and waiting[-1] == operator:
                waiting.pop()
                count += 1
        combined = operands[-count:]
        del operands[-count:]
        at = combined[0].at
        if operator in _CHAINED:
            operands.append(self._made(Connective(operator, tuple(combined), at=at)))
        else:
            operands.append(self._made(Binary(operator, *combined, at=at)))

    def _operand(self) -> Node:
        signs = list[Token]()
        while self._is("!", "-"):
            signs.append(self._take())
        negative = bool(signs) and signs[-1].text == "-" and self._token.kind is Kind.NUMBER
        if negative:
            signs.pop()
        found = self._member(negative=negative)
        for sign in reversed(signs):
            found = self._made(Unary(sign.text, found, at=sign.at))
        return found

    # -- members

    def _member(self, *, negative: bool) -> Node:
        at = self._token.at
        found = self._number(negative=negative) if self._token.kind is Kind.NUMBER else self._primary()
        while True:
            if self._is("."):
                found = self._selected(found, at)
            elif self._took("["):
                optional = self._took("?")
                found = self._made(Index(found, self._expression(), optional, at=at))
                self._expect("]", "after the index")
            elif self._is("{") and (name := _type_name(found)) is not None:
                found = self._made(MessageOf(name, self._assignments(), at=at))
            else:
                return found

    def _selected(self, of: Node, at: int) -> Node:
        self._next += 1
        optional = self._took("?")
        field = self._field("after the dot")
        if not optional and self._tokens[self._next - 1].kind is Kind.NAME and self._took("("):
            return self._made(Call(field, self._arguments(), of, at=at))
        return self._made(Select(of, field, optional, at=at))

    def _field(self, where: str) -> str:
        token = self._token
        if token.kind in (Kind.NAME, Kind.QUOTED_NAME) or (token.kind is Kind.VALUE and token.text.isalpha()):
            return self._take().text
        raise self._unexpected(f"the name of a field {where}")

    def _number(self, *, negative: bool) -> Node:
        token = self._take()
        if isinstance(token.value, float):
            return self._made(Literal(-token.value if negative else token.value, at=token.at))
        return self._made(Literal(read_int(self._source, token.at, token.text, negative=negative), at=token.at))

    def _primary(self) -> Node:
        token = self._token
        if token.kind is Kind.VALUE:
            return self._made(Literal(self._take().value, at=token.at))
        if token.kind is Kind.NAME:
            return self._named(absolute=False)
        if self._took("."):
            return self._named(absolute=True)
        if self._took("("):
            inner = self._expression()
            self._expect(")", "to close the parenthesis")
            return inner
        if self._took("["):
            return self._list(token.at)
        if self._took("{"):
            return self._map(token.at)
        raise self._unexpected("a value, a name, or a parenthesis")

    def _named(self, *, absolute: bool) -> Node:
        token = self._token
        if token.kind is not Kind.NAME:
            raise self._unexpected("a name")
        if token.text in RESERVED:
            raise RuleSyntaxError(self._source, token.at, f"{token.text} is a reserved word and no name")
        self._next += 1
        if self._took("("):
            return self._made(Call(token.text, self._arguments(), absolute=absolute, at=token.at))
        return self._made(Name(token.text, absolute, at=token.at))

    # -- what stands between brackets

    def _arguments(self) -> tuple[Node, ...]:
        if self._took(")"):
            return ()
        found = [self._expression()]
        while self._took(","):
            found.append(self._expression())
        self._expect(")", "or a comma, after an argument")
        return tuple(found)

    def _list(self, at: int) -> Node:
        elements, optional = list[Node](), set[int]()
        while not self._took("]"):
            if self._took("?"):
                optional.add(len(elements))
            elements.append(self._expression())
            if not self._took(","):
                self._expect("]", "or a comma, after an element")
                break
        return self._made(ListOf(tuple(elements), frozenset(optional), at=at))

    def _map(self, at: int) -> Node:
        entries = list[Entry]()
        while not self._took("}"):
            begin, optional = self._token.at, self._took("?")
            key = self._expression()
            self._expect(":", "and the value of this key")
            entry = Entry(key, self._expression(), optional, at=begin)
            self._made(entry, levels=0)
            entries.append(entry)
            if not self._took(","):
                self._expect("}", "or a comma, after an entry")
                break
        return self._made(MapOf(tuple(entries), at=at))

    def _assignments(self) -> tuple[Assignment, ...]:
        self._expect("{", "and the fields")
        found = list[Assignment]()
        while not self._took("}"):
            at, optional = self._token.at, self._took("?")
            field = self._field("of the message")
            self._expect(":", "and the value of this field")
            assignment = Assignment(field, self._expression(), optional, at=at)
            self._made(assignment, levels=0)
            found.append(assignment)
            if not self._took(","):
                self._expect("}", "or a comma, after a field")
                break
        return tuple(found)


def _type_name(node: Node) -> str | None:
    """The dotted name that an expression is, if it is nothing else."""
    parts = list[str]()
    while isinstance(node, Select) and not node.optional:
        parts.append(node.field)
        node = node.of
    if not isinstance(node, Name):
        return None
    parts.append(("." if node.absolute else "") + node.name)
    return ".".join(reversed(parts))
