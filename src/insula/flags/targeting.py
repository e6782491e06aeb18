"""Targeting: CEL that names a variant or a rollout, made ready to be answered."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from insula.flags.errors import FlagError
from insula.flags.flag import Flag, shares_of
from insula.rules.errors import EvaluationError, NoSuchField
from insula.rules.parser import parse
from insula.rules.rule import Rule
from insula.rules.tree import Conditional, Literal, MapOf, Node

SUBJECT_NAMES = ("subject", "targetingKey")
"""What a rule may call the one who is asked about. The second is OpenFeature's name."""
_STEPS = 100_000


class Targeting:
    """The targeting of one flag.

    Rollouts that stand in it as they are, `country == "DE" ? {"on": 25} : "off"`, are taken out and stand for
    themselves under a name, so that what remains is answered at the price of a comparison.

    Parameters: `flag`. Raises `RuleError` for what is no CEL, `FlagError` for variants that there are not.
    """

    def __init__(self, flag: Flag) -> None:
        self.rollouts: dict[str, dict[str, int]] = {}
        """Name -> variant -> parts."""
        self.written = parse(flag.targeting)
        tree = self._named(self.written, flag)
        self.rule = Rule(tree, steps=_STEPS)
        roots = {field.partition(".")[0] for field in self.rule.fields_used}
        self._roots = roots
        self.names_subject = not roots.isdisjoint(SUBJECT_NAMES)

    def _named(self, node: Node, flag: Flag) -> Node:
        """The tree with each constant answer checked, and each constant rollout under its name."""
        if isinstance(node, Conditional):
            then, otherwise = self._named(node.then, flag), self._named(node.otherwise, flag)
            return replace(node, then=then, otherwise=otherwise)
        if isinstance(node, MapOf):
            return self._named_rollout(node, flag)
        if isinstance(node, Literal):
            if isinstance(node.value, str) and node.value:
                flag.check_variant(node.value, "targeting")
            elif not isinstance(node.value, str | bool):
                raise FlagError(f"targeting: {node.value!r} is neither a variant nor a rollout")
        return node

    def _named_rollout(self, node: MapOf, flag: Flag) -> Node:
        constant = {}
        for entry in node.entries:
            if not (isinstance(entry.key, Literal) and isinstance(entry.value, Literal)):
                return node
            constant[entry.key.value] = entry.value.value
        for variant in constant:
            flag.check_variant(str(variant), "targeting")
        name = f"\x00{len(self.rollouts)}"  # no variant is called so by anybody
        self.rollouts[name] = shares_of({str(variant): percent for variant, percent in constant.items()})
        return Literal(name)

    def about(self, subject: Any, context: dict[str, Any]) -> dict[str, Any]:
        """What the rule is asked about: the context, and the subject where the rule names it."""
        if not self.names_subject or subject is None:
            return context
        return {**dict.fromkeys(SUBJECT_NAMES, subject), **context}

    def speaks_not(self, error: EvaluationError, context: dict[str, Any]) -> bool:
        """Whether there was no answer since the context lacks what the rule asks for: it then speaks for nobody."""
        return isinstance(error, NoSuchField) or not self._roots <= context.keys()
