"""OpenFeature's own gherkin suites: its real client, our provider, every scenario and every example."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gherkin.parser import Parser
from gherkin.pickles.compiler import Compiler

from support import openfeature_older_steps, openfeature_steps
from support.openfeature_steps import Scenario
from support.processes import ROOT

SUITE = ROOT.parent / "shared" / "conformance" / "openfeature"
FEATURES = sorted(SUITE.glob("*.feature"))
needs_the_suite = pytest.mark.skipif(
    not FEATURES, reason="the outside suite is not at ../shared/conformance/openfeature"
)

# The first suite asks for it, and the flags beside the suites have lost it.
CONTEXT_AWARE = {
    "variants": {"internal": "INTERNAL", "external": "EXTERNAL"},
    "default": "external",
    "targeting": "fn == 'Sulisław' && ln == 'Świętopełk' && age == 29 && !customer ? 'internal' : ''",
}
NAMES = {"defaultVariant": "default", "contextEvaluator": "targeting", "flagMetadata": "metadata"}


def flags_of_the_suite() -> dict[str, Any]:
    """Its flags under our names for the same things; what it leaves empty is left out."""
    entries = json.loads((SUITE / "test-flags.json").read_text(encoding="utf-8"))
    renamed = {
        key: {NAMES.get(name, name): value for name, value in entry.items() if value is not None}
        for key, entry in entries.items()
    }
    return {**renamed, "context-aware": CONTEXT_AWARE}


def scenarios(path: Path) -> Iterator[dict[str, Any]]:
    """Each scenario of a file, each row of its examples one."""
    document: Any = Parser().parse(path.read_text(encoding="utf-8"))
    yield from Compiler().compile({**document, "uri": path.name})  # type: ignore[misc]


def table_of(taken: dict[str, Any]) -> list[list[str]]:
    """The rows below a step."""
    rows = taken.get("argument", {}).get("dataTable", {}).get("rows", [])
    return [[cell["value"] for cell in row["cells"]] for row in rows]


@needs_the_suite
@pytest.mark.parametrize("feature", FEATURES or [Path("none")], ids=lambda path: path.stem)
def test_every_scenario_holds(feature: Path) -> None:
    failed, held = {}, 0
    for pickle in scenarios(feature):
        scenario = Scenario(flags_of_the_suite())
        try:
            for taken in pickle["steps"]:
                scenario.take(taken["text"], table_of(taken))
            held += 1
        except (AssertionError, LookupError) as error:
            failed[f"{pickle['name']}: {taken['text']}"] = repr(error)
        finally:
            scenario.close()
    assert failed == {}
    assert held > 2


def test_both_kinds_of_sentences_are_known() -> None:
    assert openfeature_older_steps.step is openfeature_steps.step
    assert len(openfeature_steps.STEPS) > 40
