"""Rules that are renewed while they are used: a good set takes the place of the last as a whole, a bad one does not."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from insula.kernel.clock import Clock, SystemClock
from insula.rules.errors import RuleError
from insula.rules.functions.declared import Declarations
from insula.rules.parser import LIMITS, Limits
from insula.rules.ruleset import RuleSet
from insula.rules.written import Content, file_content, written_rules

_log = logging.getLogger("insula.rules")


class RenewedRules:
    """Rules that are read again and again.

    Parameters: `name` of where they lie; `read`, gets what lies there, as TOML or JSON, and raises RuleError where it
    cannot; `check_seconds`, how long what was read counts without a look (None: until `reload`); `about`, `limits` and
    `functions`, as for `Rule`.
    Raises `RuleError` where there are no good rules at the beginning.
    """

    def __init__(
        self,
        name: str,
        read: Callable[[], Content],
        *,
        check_seconds: float | None,
        about: Mapping[str, Any] | None,
        limits: Limits,
        functions: Declarations | None,
        clock: Clock | None,
    ) -> None:
        if check_seconds is not None and not check_seconds >= 0:
            raise RuleError(f"{type(self).__name__}(check_seconds={check_seconds}): give 0 or more")
        self.name = name
        self.trouble = ""
        """Why what lies there now is not used; empty while it is."""
        self._read = read
        self._options: dict[str, Any] = {"about": about, "limits": limits, "functions": functions}
        self._check_seconds = check_seconds
        self._clock: Clock = clock or SystemClock()
        self._content = read()
        self._rules = self._made(self._content)
        self._look_at = self._clock.monotonic() + (check_seconds or 0)

    @property
    def rules(self) -> RuleSet:
        """The newest good set."""
        if self._check_seconds is not None and self._clock.monotonic() >= self._look_at:
            self._look_at = self._clock.monotonic() + self._check_seconds
            self.reload()
        return self._rules

    def _made(self, content: Content) -> RuleSet:
        rules, version = written_rules(content, self.name)
        try:
            return RuleSet(rules, version=version, **self._options)
        except RuleError as error:
            raise RuleError(f"{self.name}: {error}") from None

    def reload(self) -> bool:
        """Look now; returns whether there is a new set. What is wrong with it is logged once."""
        before = self._content
        try:
            content = self._read()
            if content == before:
                self.trouble = ""
                return False
            rules = self._made(content)
        except RuleError as error:
            if str(error) != self.trouble:
                _log.error("%s; version %s stays in use", error, self._rules.version)
            self.trouble = str(error)
            return False
        if self._content is not before:  # another thread was faster, and may have read what is newer
            return False
        self._rules, self._content, self.trouble = rules, content, ""
        _log.info("%s: version %s with %d rules is in use", self.name, rules.version, len(rules))
        return True


class RuleFile(RenewedRules):
    """A file of rules that is looked at again and again.

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
        self.path = path
        super().__init__(
            str(path), lambda: file_content(path), check_seconds=check_seconds, about=about, limits=limits,
            functions=functions, clock=clock,
        )  # fmt: skip
