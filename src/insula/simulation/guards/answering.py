"""The child's side of the cross-check: runs a simulation for a parent that compares interpreters.

The parent asks through the environment; every entry point calls `answer_parent` before anything else.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from insula.simulation.guards.line_trace import traced
from insula.simulation.simulation import Outcome, Simulation, stage

MODE, SEEDS, OUTPUT, TURN = (
    "INSULA_SIMULATE", "INSULA_SIMULATE_SEEDS", "INSULA_SIMULATE_OUTPUT", "INSULA_SIMULATE_TURN"
)  # fmt: skip
"""The variables: "digest" or "trace"; seeds with commas between; the file for the answer; the how many-eth simulation
of the process is meant, "1" by default."""

CURRENT_TEST = "PYTEST_CURRENT_TEST"


class Told(msgspec.Struct, frozen=True):
    """What a child tells of one seed: the digest of its run, and what happened."""

    digest: str
    story: list[str]


_turns: dict[str, int] = {}


def turn() -> int:
    """How many simulations the test that runs, or else the process, has begun."""
    return _turns.get(_test(), 0)


def answer_parent(simulation: Simulation) -> bool:
    """Whether this process was started to answer a parent. If so it has answered, and must end at once.

    Every entry point calls this first, once for each simulation it begins, also in the parent: they are counted.
    """
    _turns[_test()] = turn() + 1
    mode, output = os.environ.get(MODE), os.environ.get(OUTPUT)
    if mode is None or output is None or turn() != int(os.environ.get(TURN, "1")):
        return False
    seeds = [int(seed) for seed in os.environ[SEEDS].split(",")]
    file = Path(output)
    with stage(simulation) as ready:
        if mode == "trace":
            with traced(lines_file(file)):
                told = {seed: _told(ready.run(seed)) for seed in seeds}
        else:
            told = {seed: _told(ready.run(seed)) for seed in seeds}
    file.write_bytes(msgspec.json.encode(told))
    return True


def is_child() -> bool:
    """Whether this process was started to answer a parent."""
    return MODE in os.environ


def lines_file(output: Path) -> Path:
    """Where a child that traces writes its lines."""
    return output.with_suffix(".lines")


def _told(outcome: Outcome) -> Told:
    story = [f"{each.at:.6f} s, {each.where}: {each.kind} {each.what}" for each in outcome.story]
    return Told(outcome.digest, story)


def _test() -> str:
    return os.environ.get(CURRENT_TEST, "").rpartition(" ")[0]
