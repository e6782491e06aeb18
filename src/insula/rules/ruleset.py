"""Named rules that are kept together: read from a file or a table, checked as a whole, renewed while they are used."""

from __future__ import annotations

import hashlib
import logging
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from insula.kernel.clock import Clock, SystemClock
from insula.rules.errors import BudgetExceeded, EvaluationError, RuleError, did_you_mean
from insula.rules.functions.declared import Declarations
from insula.rules.parser import LIMITS, Limits
from insula.rules.rule import Rule

_log = logging.getLogger("insula.rules")
_DIGITS = 12
_MOST_BYTES = 16 * 1024 * 1024


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
    as for `Rule`. Raises RuleError that lists every rule
    that is none.
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
        return _read(path, _content(path), {"about": about, "limits": limits, "functions": functions})


class RuleMissing(RuleError, KeyError):
    """A set has no rule of that name."""

    __str__ = Exception.__str__


class RuleFile:
    """A file of rules that is looked at again and again: a good one takes the place of the last, a bad one does not.

    Parameters: `path`; `check_seconds`, how long what was read counts without a look at the file (default 5);
    `about`, `limits` and `functions`, as for `Rule`.
    Raises `RuleError` where there is no good file at the beginning.
    """

    def __init__(
        self,
        path: Path,
        *,
        check_seconds: float = 5.0,
        about: Mapping[str, Any] | None = None,
        limits: Limits = LIMITS,
        functions: Declarations | None = None,
        clock: Clock | None = None,
    ) -> None:
        if not check_seconds >= 0:
            raise RuleError(f"RuleFile(check_seconds={check_seconds}): give 0 or more")
        self.path = path
        self.trouble = ""
        """Why the file as it is now is not used; empty while it is."""
        self._options = {"about": about, "limits": limits, "functions": functions}
        self._check_seconds = check_seconds
        self._clock: Clock = clock or SystemClock()
        self._content = _content(path)
        self._rules = _read(path, self._content, self._options)
        self._look_at = self._clock.monotonic() + check_seconds

    @property
    def rules(self) -> RuleSet:
        """The newest good set."""
        if self._clock.monotonic() >= self._look_at:
            self._look_at = self._clock.monotonic() + self._check_seconds
            self.reload()
        return self._rules

    def reload(self) -> bool:
        """Look at the file now; returns whether there is a new set. What is wrong with it is logged once."""
        before = self._content
        try:
            content = _content(self.path)
            if content == before:
                self.trouble = ""
                return False
            rules = _read(self.path, content, self._options)
        except RuleError as error:
            if str(error) != self.trouble:
                _log.error("%s; version %s stays in use", error, self._rules.version)
            self.trouble = str(error)
            return False
        if self._content is not before:  # another thread was faster, and may have read what is newer
            return False
        self._rules, self._content, self.trouble = rules, content, ""
        _log.info("%s: version %s with %d rules is in use", self.path, rules.version, len(rules))
        return True


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise RuleError(f"{path} cannot be read: {error.strerror}") from None
    if len(content) > _MOST_BYTES:
        raise RuleError(f"{path} is larger than {_MOST_BYTES // 1024**2} MiB")
    return content


def _read(path: Path, content: bytes, options: Mapping[str, Any]) -> RuleSet:
    try:
        data = msgspec.json.decode(content) if path.suffix == ".json" else tomllib.loads(content.decode())
    except (
        msgspec.DecodeError,
        ValueError,
        RecursionError,
    ) as error:  # also a number of 5,000 digits, or 5,000 brackets
        raise RuleError(f"{path} is no {'JSON' if path.suffix == '.json' else 'TOML'}: {error}") from None
    if not isinstance(data, dict) or not isinstance(data.get("rules"), dict):
        raise RuleError(f"{path} has no table [rules]; write a rule as [rules.NAME] with when = '...'")
    rules, problems = dict[str, str](), list[str]()
    for name, entry in data["rules"].items():
        text = entry.get("when") if isinstance(entry, dict) else entry
        if isinstance(text, str):
            rules[name] = text
        else:
            problems.append(f"{name} is neither a text nor a table with when = '...'")
    if problems:
        raise RuleError(f"{path}: {'; '.join(problems)}")
    try:
        return RuleSet(rules, version=str(data.get("version", "")), **options)
    except RuleError as error:
        raise RuleError(f"{path}: {error}") from None


def _digest(rules: Mapping[str, str]) -> str:
    return hashlib.sha256(msgspec.json.encode(sorted(rules.items()))).hexdigest()[:_DIGITS]
