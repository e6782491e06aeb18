"""Trees of all kinds, for properties."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from hypothesis import strategies as some

from insula.rules.parser import RESERVED
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
from insula.rules.values import INT_MAX, INT_MIN, UINT_MAX, UInt

_CONSTANTS = {"true", "false", "null"}
words = some.from_regex(r"[_a-zA-Z][_a-zA-Z0-9]{0,8}", fullmatch=True).filter(lambda word: word not in _CONSTANTS)
names = words.filter(lambda word: word not in RESERVED)
fields = words | some.from_regex(r"[a-zA-Z0-9_.\-/ ]{1,8}", fullmatch=True).filter(lambda word: word not in _CONSTANTS)
scalars = (
    some.none() | some.booleans() | some.integers(INT_MIN, INT_MAX) | some.integers(0, UINT_MAX).map(UInt)
    | some.floats(allow_nan=False, allow_infinity=False) | some.text() | some.binary()
)  # fmt: skip


def _larger(smaller: some.SearchStrategy[Node]) -> some.SearchStrategy[Node]:
    several = some.lists(smaller, max_size=3).map(tuple)
    operands = some.lists(smaller, min_size=2, max_size=4).map(tuple)
    arithmetic = some.sampled_from(["+", "-", "*", "/", "%", "<", "<=", ">", ">=", "==", "!=", "in"])
    entries = some.builds(Entry, smaller, smaller, some.booleans())
    assignments = some.builds(Assignment, fields, smaller, some.booleans())
    return some.one_of(
        some.builds(Select, smaller, fields, some.booleans()),
        some.builds(Index, smaller, smaller, some.booleans()),
        some.builds(Call, names, several, absolute=some.booleans()),
        some.builds(Call, words, several, smaller),
        some.builds(Unary, some.sampled_from("!-"), smaller),
        some.builds(Binary, arithmetic, smaller, smaller),
        some.builds(Connective, some.sampled_from(("&&", "||")), operands),
        some.builds(Conditional, smaller, smaller, smaller),
        some.lists(some.tuples(smaller, some.booleans()), max_size=3).map(_list),
        some.builds(MapOf, some.lists(entries, max_size=2).map(tuple)),
        some.builds(MessageOf, names, some.lists(assignments, max_size=2).map(tuple)),
    )


def _list(elements: list[tuple[Node, bool]]) -> Node:
    optional = frozenset(at for at, (_, maybe) in enumerate(elements) if maybe)
    return ListOf(tuple(node for node, _ in elements), optional)


trees = some.recursive(
    some.builds(Literal, scalars) | some.builds(Name, names, some.booleans()), _larger, max_leaves=12
)


@contextmanager
def seconds_of_processor(most: float) -> Iterator[None]:
    """What is done here costs this process no more, whatever else runs on the machine."""
    before = os.times()
    try:
        yield
    finally:
        after = os.times()
        assert after.user + after.system - before.user - before.system < most
