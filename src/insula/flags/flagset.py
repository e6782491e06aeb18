"""Flags that are kept together: read and checked as a whole, and never changed."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import msgspec

from insula.flags.errors import FlagError, FlagsUnavailable
from insula.flags.flag import Flag, flag_of
from insula.flags.targeting import Targeting
from insula.rules.errors import RuleError, did_you_mean

MOST_BYTES = 16 * 1024 * 1024
_MOST_PREREQUISITES = 100
_DIGITS = 12


class FlagSet(Mapping[str, Flag]):
    """Flags by key. It never changes; a newer version is another set.

    Parameters: `flags`, key -> Flag; `version`, default a digest of all of it. Raises `FlagError` that lists every flag
    that is none: targeting that is no CEL, variants that there are not, prerequisites that are missing or circular.
    """

    def __init__(self, flags: Mapping[str, Flag], *, version: str = "") -> None:
        self._flags = dict(flags)
        self.version = version or _digest(self._flags)
        self.targeting: dict[str, Targeting] = {}
        problems = list[str]()
        for key, flag in self._flags.items():
            try:
                if not key:
                    raise FlagError("a key is empty")
                flag.check()
                if flag.targeting:
                    self.targeting[key] = Targeting(flag)
                self._check_prerequisites(flag)
            except (FlagError, RuleError) as error:
                problems.append(f"{key}: {error}")
        if not problems:
            self.order = self._ordered(problems)
        if problems:
            raise FlagError("\n".join(problems))

    order: tuple[str, ...]
    """The keys, each after those that come first for it."""

    def _check_prerequisites(self, flag: Flag) -> None:
        for other, variants in flag.prerequisites.items():
            if other not in self._flags:
                raise FlagError(f"requires: there is no flag {other}{did_you_mean(other, self._flags)}")
            for variant in variants:
                self._flags[other].check_variant(variant, f"requires {other}")

    def _ordered(self, problems: list[str]) -> tuple[str, ...]:
        graph = {key: tuple(flag.prerequisites) for key, flag in self._flags.items()}
        try:
            order = tuple(TopologicalSorter(graph).static_order())
        except CycleError as error:
            problems.append(f"requires goes in a circle: {' requires '.join(reversed(error.args[1]))}")
            return ()
        asked: dict[str, int] = {}
        for key in order:
            asked[key] = sum(1 + asked[other] for other in graph[key])
            if asked[key] > _MOST_PREREQUISITES:
                problems.append(f"{key}: requires: more than {_MOST_PREREQUISITES} flags come first")
                return ()
        return order

    def __getitem__(self, key: str) -> Flag:
        return self._flags[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._flags)

    def __len__(self) -> int:
        return len(self._flags)

    def changed_from(self, before: FlagSet) -> tuple[str, ...]:
        """The keys of flags that came, went or are other ones now, in order."""
        return tuple(sorted(key for key in {*self, *before} if self._flags.get(key) != before.get(key)))

    @staticmethod
    def of(data: Any, origin: str = "") -> FlagSet:
        """From what was read: a table `flags`, and a `version`, if you like. Raises `FlagError` with every problem."""
        prefix = f"{origin}: " if origin else ""
        if not isinstance(data, dict) or not isinstance(data.get("flags"), dict):
            raise FlagError(f"{prefix}there is no table [flags]; write a flag as [flags.NAME]")
        found, problems = dict[str, Flag](), list[str]()
        for key, entry in data["flags"].items():
            try:
                found[str(key)] = flag_of(entry)
            except FlagError as error:
                problems.append(f"{key}: {error}")
        try:
            if not problems:
                return FlagSet(found, version=str(data.get("version", "")))
        except FlagError as error:
            problems.append(str(error))
        raise FlagError(prefix + "\n".join(problems))

    @staticmethod
    def read(content: bytes, *, toml: bool, origin: str = "") -> FlagSet:
        """From the content of a file. Raises `FlagError` that names the origin and everything that is wrong."""
        return FlagSet.of(decoded(content, toml=toml, origin=origin), origin)

    @staticmethod
    def load(path: Path) -> FlagSet:
        """From a file: TOML, or JSON where its name ends so. Raises `FlagError` naming all that is wrong in it."""
        return FlagSet.read(content_of(path), toml=path.suffix != ".json", origin=str(path))


def decoded(content: bytes, *, toml: bool, origin: str) -> Any:
    """What TOML or JSON says. Raises `FlagError`."""
    try:
        return tomllib.loads(content.decode()) if toml else msgspec.json.decode(content)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:  # ValueError: no TOML, no UTF-8
        raise FlagError(f"{origin} is no {'TOML' if toml else 'JSON'}: {error}") from None


def content_of(path: Path) -> bytes:
    """The bytes of a file. Raises `FlagsUnavailable` where it cannot be read, `FlagError` where it is too large."""
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise FlagsUnavailable(f"{path} cannot be read: {error.strerror or error}") from None
    except ValueError as error:  # a NUL in its name
        raise FlagsUnavailable(f"{path} cannot be read: {error}") from None
    if len(content) > MOST_BYTES:
        raise FlagError(f"{path} is larger than {MOST_BYTES // 1024**2} MiB")
    return content


def _digest(flags: Mapping[str, Flag]) -> str:
    return hashlib.sha256(msgspec.json.encode(sorted(flags.items()), enc_hook=str)).hexdigest()[:_DIGITS]
