"""Named rules that are kept together: checked as a whole, answered together."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from insula.rules.errors import BudgetExceeded, EvaluationError, RuleError, did_you_mean
from insula.rules.functions.declared import Declarations
from insula.rules.parser import LIMITS, Limits
from insula.rules.rule import Rule
from insula.rules.written import file_content, written_rules

_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Decision:
    """What a set of rules had to say, in a form that can be kept: of which version, and which rules had no answer."""

    version: str
    answers: Mapping[str, Any] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)

    @property
    def matching(self) -> tuple[str, ...]:
        """The rules that are true, in the order of the set."""
        return tuple(name for name, answer in self.answers.items() if answer is True)


class RuleSet(Mapping[str, Rule]):
    """Rules by name. It never changes; a newer version is another set.

    Parameters: `rules`, name -> CEL; `version`, default a digest of all of it; `about`, `limits` and `functions`,
    as for `Rule`. Raises RuleError that lists every rule that is none.
    """

    def __init__(
        self,
        rules: Mapping[str, str],
        *,
        version: str = "",
        about: Mapping[str, Any] | None = None,
        limits: Limits = LIMITS,
        functions: Declarations | None = None,
    ) -> None:
        found, problems = dict[str, Rule](), list[str]()
        for name, text in rules.items():
            try:
                found[name] = Rule.parse(text, about=about, limits=limits, functions=functions)
            except RuleError as error:
                problems.append(f"{name}: {error}")
        if problems:
            raise RuleError("\n".join(problems))
        self._rules = found
        self.version = version or _digest(rules)

    def __getitem__(self, name: str) -> Rule:
        rule = self._rules.get(name)
        if rule is None:
            raise RuleMissing(f"there is no rule {name}{did_you_mean(name, self._rules)}")
        return rule

    def __iter__(self) -> Iterator[str]:
        return iter(self._rules)

    def __len__(self) -> int:
        return len(self._rules)

    def decide(self, subjects: Mapping[str, Any] | None = None, /, **named: Any) -> Decision:
        """Answer every rule. One that has no answer does not keep the others from theirs."""
        about, answers, errors = {**(subjects or {}), **named}, dict[str, Any](), dict[str, str]()
        for name, rule in self._rules.items():
            try:
                answers[name] = rule.evaluate(about)
            except (BudgetExceeded, EvaluationError) as error:
                errors[name] = str(error)
        return Decision(self.version, answers, errors)

    @staticmethod
    def load(
        path: Path,
        *,
        about: Mapping[str, Any] | None = None,
        limits: Limits = LIMITS,
        functions: Declarations | None = None,
    ) -> RuleSet:
        """From a TOML or JSON file: a table `rules`, each a text or a table with `when`; and a `version`, if you like.

        Raises `RuleError` that names the file and every rule in it that is none.
        """
        rules, version = written_rules(file_content(path), str(path))
        try:
            return RuleSet(rules, version=version, about=about, limits=limits, functions=functions)
        except RuleError as error:
            raise RuleError(f"{path}: {error}") from None


class RuleMissing(RuleError, KeyError):
    """A set has no rule of that name."""

    __str__ = Exception.__str__


def _digest(rules: Mapping[str, str]) -> str:
    return hashlib.sha256(msgspec.json.encode(sorted(rules.items()))).hexdigest()[:_DIGITS]
