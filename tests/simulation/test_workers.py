"""Runs over several processes: they end when nobody listens any more."""

from __future__ import annotations

from insula.simulation.hunting.coverage import Coverage
from insula.simulation.hunting.workers import Finding, spread

A_LONG_WORD = "x" * 10_000


def talkative(number: int, task: int, coverage: Coverage) -> Finding:
    return Finding(number, "broken" if task == 0 else "", A_LONG_WORD, "")


def test_workers_that_still_have_much_to_say_end_when_the_hunt_does() -> None:
    findings = spread(list(range(5000)), talkative, Coverage(), workers=3)
    assert next(iter(findings)).detail == A_LONG_WORD
    findings.close()  # type: ignore[attr-defined]  # a generator; it waits for the workers


def test_every_task_is_done_once_and_all_that_was_reached_is_added_up() -> None:
    def run(number: int, task: str, coverage: Coverage) -> Finding:
        coverage.handlers[task] += 1
        return Finding(number, "", task, "")

    coverage = Coverage()
    found = {each.number: each.detail for each in spread(["a", "b", "a", "c"], run, coverage, workers=2)}
    assert found == {0: "a", 1: "b", 2: "a", 3: "c"}
    assert coverage.handlers == {"a": 2, "b": 1, "c": 1}
