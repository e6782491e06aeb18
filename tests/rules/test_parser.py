"""A text is read as what it says, or refused with the place and what was expected there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from insula.rules.errors import RuleSyntaxError
from insula.rules.parser import Limits, parse
from insula.rules.text import to_text
from insula.rules.tree import Node
from rules.growing import seconds_of_processor, trees


@given(trees)
def test_what_is_written_reads_back_as_the_same_tree(tree: Node) -> None:
    assert parse(to_text(tree)) == tree


@pytest.mark.parametrize(
    ("longer", "shorter"),
    [
        ("((a))", "a"),
        ("(a && b) || c", "a && b || c"),
        ("a && (b || c)", "a && (b || c)"),
        ("a || (b || c)", "a || (b || c)"),
        ("(a + b) * c", "(a + b) * c"),
        ("(a * b) + c", "a * b + c"),
        ("a - (b - c)", "a - (b - c)"),
        ("(a ? b : c) ? d : (e ? f : g)", "(a ? b : c) ? d : e ? f : g"),
        ("!(a == b)", "!(a == b)"),
        ("-(1)", "-(1)"),
        ("-(-1)", "--1"),
        ("(-1).abs()", "-1.abs()"),
        ("0x1F", "31"),
        ("'it''s'.size() // a comment".replace("''", "\\'"), '"it\'s".size()'),
        ("r'\\d'", '"\\\\d"'),
        ("{'a': 1,}", '{"a": 1}'),
        ("[1, 2,]", "[1, 2]"),
        ("a.b.C{d: 1}", "a.b.C{d: 1}"),
        ("a.`b-c`", "a.`b-c`"),
        ("a.`b`", "a.b"),
    ],
)
def test_a_text_is_written_with_no_more_parentheses_than_it_needs(longer: str, shorter: str) -> None:
    assert to_text(parse(longer)) == shorter


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a+", "line 1, column 3: expected a value, a name, or a parenthesis; found the end of the rule\n  a+\n    ^"),
        ("a = b", 'line 1, column 3: equality is written "=="\n  a = b\n    ^'),
        ("a & b", 'line 1, column 3: "and" is written "&&"\n  a & b\n    ^'),
        ("a and b", 'line 1, column 3: "and" is written "&&"\n  a and b\n    ^'),
        ("a\n  && )", "line 2, column 6: expected a value, a name, or a parenthesis; found )\n    && )\n       ^"),
        ("'abc", "line 1, column 1: this text has no end; expected a closing quote on the same line\n  'abc\n  ^"),
        (
            "'''abc",
            "line 1, column 1: this text has no end; expected three closing quotes\n  '''abc\n  ^",
        ),
        (
            "a ? b",
            (
                'line 1, column 6: expected ":" and what the answer is otherwise; found the end of the rule\n'
                "  a ? b\n       ^"
            ),
        ),
        ("f(a b)", 'line 1, column 5: expected ")" or a comma, after an argument; found b\n  f(a b)\n      ^'),
        ("[1 2]", 'line 1, column 4: expected "]" or a comma, after an element; found 2\n  [1 2]\n     ^'),
        ("{1 2}", 'line 1, column 4: expected ":" and the value of this key; found 2\n  {1 2}\n     ^'),
        ("for", "line 1, column 1: for is a reserved word and no name\n  for\n  ^"),
        ("a.1", "line 1, column 2: expected an operator, or the end; found .1\n  a.1\n   ^"),
        ("a # b", "line 1, column 3: that sign has no meaning here\n  a # b\n    ^"),
        ("", "line 1, column 1: expected a value, a name, or a parenthesis; found the end of the rule\n  \n  ^"),
    ],
)  # fmt: skip
def test_an_error_shows_the_place_and_what_was_expected(text: str, told: str) -> None:
    with pytest.raises(RuleSyntaxError) as refusal:
        parse(text)
    assert str(refusal.value) == told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("9223372036854775808", "an int lies between"),
        ("-9223372036854775809", "an int lies between"),
        ("18446744073709551616u", "a uint lies between"),
        ("1e999", "a double is less than"),
        ("9" * 5000, "a number has no more than 64 bits"),
        ("'\\q'", "no such escape"),
        ("'\\ud800'", "U\\+D800 is no character"),
        ("'\\U00110000'", "U\\+110000 is no character"),
        ("b'\\u0041'", "bytes have no"),
    ],
)
def test_a_value_that_there_is_not_is_refused(text: str, told: str) -> None:
    with pytest.raises(RuleSyntaxError, match=told):
        parse(text)


def test_the_least_int_can_be_written() -> None:
    assert to_text(parse("-9223372036854775808")) == "-9223372036854775808"


@given(some.text() | some.text(alphabet="ab1.,:?()[]{}'\"\\&|=<>!+-*/% \n`ru0x"))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        tree = parse(text)
    except RuleSyntaxError:
        return
    assert parse(to_text(tree)) == tree


@pytest.mark.parametrize(
    "text",
    [
        "(" * 1_000_000,
        "(" * 90_000,
        "[" * 5_000 + "]" * 5_000,
        "!" * 5_000 + "true",
        "-" * 5_000 + "1",
        "a" + ".b" * 5_000,
        "a" + "[0]" * 5_000,
        "1" + " + 1" * 5_000,
        "a ? b : " * 5_000 + "c",
        "{1:" * 5_000,
        "a.b(" * 5_000,
        "true && " * 30_000 + "true",
        "'" + "\\n" * 60_000,
    ],
    ids=lambda text: text[:10],
)
def test_a_hostile_text_is_refused_soon(text: str) -> None:
    with pytest.raises(RuleSyntaxError) as refusal, seconds_of_processor(2):
        parse(text)
    assert len(str(refusal.value)) < 400


def test_a_long_chain_of_conditions_counts_as_one_level() -> None:
    chain = " || ".join(f"a == {number}" for number in range(1_000))
    assert to_text(parse(chain)) == chain


def test_limits_can_be_set() -> None:
    with pytest.raises(RuleSyntaxError, match="no more than 3 words"):
        parse("a + b + c", Limits(words=3))
    with pytest.raises(RuleSyntaxError, match="no more than 4 characters"):
        parse("a + b", Limits(characters=4))
    with pytest.raises(RuleSyntaxError, match="no deeper than 2"):
        parse("((a))", Limits(depth=2))


@pytest.mark.parametrize("opening", ["(", "[", "{1: ", "f(", "a.f(", "a[", "!", "-", "1 + (", "a ? b : ", "a && ("])
def test_what_is_as_deep_as_is_allowed_is_read_and_written(opening: str) -> None:
    end = "" if opening[0] in "!-" or "?" in opening else {"[": "]", "{": "}"}.get(opening.strip("a1: ")[-1:], ")")
    text = opening * 90 + "true" + end * 90
    assert parse(to_text(parse(text))) == parse(text)
