"""Random expressions have the answers that two other implementations of CEL give them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import cel
import celpy
import pytest
from celpy import celtypes
from hypothesis import HealthCheck, given, settings

from insula.rules import Rule, RuleError
from insula.rules.moments import Duration, Timestamp
from insula.rules.parser import parse
from insula.rules.text import to_text
from insula.rules.tree import Call, Entry, Name, Node
from insula.rules.values import TypeValue, UInt
from rules.expressions import SUBJECTS, any_expression
from rules.known_differences import CEL_PYTHON, CEL_RUST, ERROR, Answer, Difference, Part

EXAMPLES = int(os.environ.get("EXPRESSIONS", "500"))
MACROS = frozenset(("all", "exists", "exists_one", "map", "filter"))


@dataclass(frozen=True)
class Peer:
    """Another implementation. Parameters: `seen`, an answer as far as its binding to Python can tell it."""

    name: str
    ask: Callable[[str], Answer]
    known: list[Difference]
    seen: Callable[[Answer], Answer] = lambda answer: answer

    def agrees(self, text: str) -> bool:
        """Whether both answer alike, or neither has an answer."""
        ours, theirs = by_insula(text), self.ask(text)
        return self.seen(ours) == theirs or ours[0] == theirs[0] == ERROR

    def unlike(self, node: Node) -> Iterator[Part]:
        """The smallest parts that are answered differently: all that they are made of is answered alike."""
        below = [found for part in parts(node) for found in self.unlike(part)]
        if below:
            yield from below
        elif not self.agrees(text := to_text(node)):
            yield Part(node, by_insula(text), self.ask(text), lambda each: by_insula(to_text(each)))

    def unexplained(self, text: str) -> list[str]:
        """What is answered differently, and is not known to be."""
        if self.agrees(text):
            return []
        return [
            f"{to_text(part.node)}: {part.ours} here, {part.theirs} in {self.name}"
            for part in self.unlike(parse(text))
            if not any(each.applies(part) for each in self.known)
        ]


def parts(node: Node) -> Iterator[Node]:
    """What a node is made of, as far as it can be asked alone: without the variable of a macro."""
    for part in node.parts:
        asks_for_field = isinstance(node, Call) and node.function == "has"
        if asks_for_field or isinstance(part, Entry) or mentions_variable(part):
            yield from parts(part)
        else:
            yield part


def mentions_variable(node: Node) -> bool:
    """Whether a variable of a macro around it is in it: they are all called x."""
    if isinstance(node, Call) and node.function in MACROS and node.target is not None:
        return mentions_variable(node.target)  # the others are its own
    return node == Name("x") or any(map(mentions_variable, node.parts))


def plain(value: Any) -> Answer:
    """A value of any of the three, with the name of its type."""
    kinds: list[tuple[Any, Callable[[Any], Answer]]] = [
        ((bool, celtypes.BoolType), lambda found: ("bool", bool(found))),
        ((UInt, celtypes.UintType), lambda found: ("uint", int(found))),
        (int, lambda found: ("int", int(found))),
        (float, lambda found: ("double", float(found).hex())),
        (str, lambda found: ("string", str(found))),
        (bytes, lambda found: ("bytes", bytes(found))),
        (list, lambda found: ("list", [plain(each) for each in found])),
        (dict, lambda found: ("map", sorted((plain(key), plain(each)) for key, each in found.items()))),
        ((Timestamp, Duration), lambda found: (type(found).__name__.lower(), str(found))),
        (celtypes.datetime.datetime, lambda found: plain(Timestamp.of(found))),
        (celtypes.datetime.timedelta, lambda found: plain(Duration.of(found))),
        (TypeValue, lambda found: ("type", found.name)),
        (type, lambda found: ("type", found.__name__.removesuffix("Type").lower())),
        (type(None), lambda _: ("null", None)),
    ]
    return next((convert(value) for kind, convert in kinds if isinstance(value, kind)), ("other", type(value).__name__))


def by_insula(text: str) -> Answer:
    """Its answer, or its error."""
    try:
        return plain(Rule.parse(text).evaluate(SUBJECTS))
    except RuleError as error:
        return ERROR, str(error)


_ENVIRONMENT = celpy.Environment()
_ACTIVATION = celpy.json_to_cel(SUBJECTS)


def by_cel_python(text: str) -> Answer:
    """Its answer, or its error."""
    try:
        return plain(_ENVIRONMENT.program(_ENVIRONMENT.compile(text)).evaluate(_ACTIVATION))
    except Exception as error:
        return ERROR, f"{type(error).__name__}: {error}"


def by_cel_in_rust(text: str) -> Answer:
    """Its answer, or its error."""
    try:
        return plain(cel.evaluate(text, SUBJECTS))
    except Exception as error:
        return ERROR, f"{type(error).__name__}: {error}"


def without_uints(answer: Answer) -> Answer:
    """The binding of CEL in Rust hands over every whole number as an int."""
    kind, value = answer
    if kind == "list":
        return kind, [without_uints(each) for each in value]
    return ("int" if kind == "uint" else kind), value


PEERS = (
    Peer("cel-python", by_cel_python, CEL_PYTHON),
    Peer("CEL in Rust", by_cel_in_rust, CEL_RUST, without_uints),
)


@settings(
    derandomize=True, database=None, max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck)
)
@given(any_expression())
def test_others_answer_alike(text: str) -> None:
    assert [told for peer in PEERS for told in peer.unexplained(text)] == []


@pytest.mark.parametrize(
    ("peer", "difference"),
    [pytest.param(peer, each, id=f"{peer.name}: {each.what}") for peer in PEERS for each in peer.known],
)
def test_a_known_difference_is_still_there(peer: Peer, difference: Difference) -> None:
    (part,) = peer.unlike(parse(difference.example))
    assert [each.what for each in peer.known if each.applies(part)] == [difference.what]
