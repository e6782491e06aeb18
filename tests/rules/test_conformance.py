"""The outside suite of the Common Expression Language, section by section, through the public API."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from insula.rules import Rule, RuleError
from insula.rules.values import TYPES, UInt, equal, map_key
from support.processes import ROOT

CASES = ROOT.parent / "shared" / "conformance" / "cel" / "cases.json"


def _sections() -> dict[str, list[dict[str, Any]]]:
    if not CASES.is_file():
        return {}
    found: dict[str, list[dict[str, Any]]] = json.loads(Path(CASES).read_text())
    return found


SECTIONS = _sections()
needs_the_suite = pytest.mark.skipif(not SECTIONS, reason="the outside suite is not at ../shared/conformance/cel")


def value(tagged: dict[str, Any]) -> Any:
    """A value in the suite's own form."""
    ((kind, content),) = tagged.items()
    readers: dict[str, Callable[[Any], Any]] = {
        "int64Value": int,
        "uint64Value": UInt,
        "doubleValue": float,
        "bytesValue": base64.b64decode,
        "listValue": lambda values: [value(each) for each in values.get("values", ())],
        "mapValue": lambda values: dict(map(_entry, values.get("entries", ()))),
        "typeValue": TYPES.__getitem__,
    }
    return readers[kind](content) if kind in readers else content


def _entry(tagged: dict[str, Any]) -> tuple[Any, Any]:
    return map_key(value(tagged["key"])), value(tagged["value"])


def is_as_expected(found: Any, expected: Any) -> bool:
    """Of the same type and equal; what is no number is as good as another that is none."""
    if isinstance(expected, float) and math.isnan(expected):
        return isinstance(found, float) and math.isnan(found)
    return type(found) is type(expected) and equal(found, expected)


@needs_the_suite
@pytest.mark.parametrize("section", SECTIONS or ["none"])
def test_every_case_is_answered_as_the_suite_expects(section: str) -> None:
    wrong = []
    for case in SECTIONS[section]:
        subjects = {name: value(each) for name, each in case.get("bindings", {}).items()}
        try:
            found = Rule.parse(case["expr"], check=not case.get("disable_check")).evaluate(subjects)
        except RuleError as error:
            if not case.get("error"):
                wrong.append((case["expr"], error))
        else:
            if case.get("error") or not is_as_expected(found, value(case["value"])):
                wrong.append((case["expr"], found))
    assert wrong == []


@needs_the_suite
@pytest.mark.parametrize("section", SECTIONS or ["none"])
def test_what_has_an_answer_is_not_refused_when_it_is_checked(section: str) -> None:
    for case in SECTIONS[section]:
        if "value" in case and not case.get("disable_check"):
            assert Rule.parse(case["expr"], about=dict.fromkeys(case.get("bindings", ()), Any))


@needs_the_suite
def test_the_suite_is_whole() -> None:
    assert sum(map(len, SECTIONS.values())) == 783
