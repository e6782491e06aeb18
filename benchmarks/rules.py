"""Rules: nanoseconds an answer of one rule about a dict, and what it costs to make it ready.

The rule is `user.tier == "gold" || (order.total > 100.0 && user.tier == "silver")`, asked about a silver customer, so
that all of it is looked at. The floor is the same as a lambda. Peers get the dict as it is: those that speak CEL, and
in a row of their own engines with other languages. `large dict` has 70 values more that the rule does not look at.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any

from benchmarks.harness import Case, Contender, Sample, Settings, run
from insula.rules import Rule

RULE = 'user.tier == "gold" || (order.total > 100.0 && user.tier == "silver")'
PYTHON = 'user.tier == "gold" or (order.total > 100.0 and user.tier == "silver")'
SMALL: dict[str, Any] = {
    "user": {"id": "u-1", "tier": "silver", "country": "DE", "age": 41},
    "order": {"id": "o-9", "total": 150.0, "currency": "EUR", "items": 3},
}
LARGE: dict[str, Any] = {
    "user": SMALL["user"] | {f"field{number}": number for number in range(50)},
    "order": SMALL["order"] | {"lines": [{"sku": f"s{number}", "price": 1.5} for number in range(20)]},
}
CALLS = 1000

Answer = Callable[[dict[str, Any]], object]


def contender(name: str, prepare: Callable[[], Answer], about: dict[str, Any], package: str = "") -> Contender:
    """One who answers the rule about a dict."""

    @asynccontextmanager
    async def opened(settings: Settings) -> AsyncIterator[Sample]:
        answer = prepare()
        assert answer(about)

        async def sample() -> float:
            return nanoseconds(lambda: answer(about), settings.seconds)

        yield sample

    return Contender(name, opened, packages=(package,) if package else ())


def nanoseconds(call: Callable[[], object], seconds: float) -> float:
    """Of one call; the loop around it is counted for everybody alike."""
    calls, started = 0, time.perf_counter_ns()
    until = started + int(seconds * 1e9)
    while (now := time.perf_counter_ns()) < until:
        for _ in range(CALLS):
            call()
        calls += CALLS
    return (now - started) / calls


def by_lambda() -> Answer:
    return lambda about: (
        about["user"]["tier"] == "gold" or (about["order"]["total"] > 100.0 and about["user"]["tier"] == "silver")
    )


def by_insula() -> Answer:
    return Rule.parse(RULE).answer


def by_rust() -> Answer:
    cel: Any = import_module("cel")
    answer: Answer = cel.compile(RULE).execute
    return answer


def by_cel_python() -> Answer:
    celpy: Any = import_module("celpy")
    environment = celpy.Environment()
    program = environment.program(environment.compile(RULE))
    return lambda about: program.evaluate(celpy.json_to_cel(about))


def by_rule_engine() -> Answer:
    rule_engine: Any = import_module("rule_engine")
    answer: Answer = rule_engine.Rule(PYTHON).matches
    return answer


def by_zen() -> Answer:
    zen: Any = import_module("zen")
    answer: Answer = zen.compile_expression(PYTHON).evaluate
    return answer


def compiling(name: str, compile_rule: Callable[[], object], package: str = "") -> Contender:
    """One who makes the rule ready, in microseconds."""

    @asynccontextmanager
    async def opened(settings: Settings) -> AsyncIterator[Sample]:
        async def sample() -> float:
            return nanoseconds(compile_rule, settings.seconds) / 1000

        yield sample

    return Contender(name, opened, packages=(package,) if package else ())


CEL = (contender("CEL in Rust", by_rust, SMALL, "cel"), contender("cel-python", by_cel_python, SMALL, "celpy"))
OTHERS = (
    contender("zen-engine", by_zen, SMALL, "zen"),
    contender("rule-engine", by_rule_engine, SMALL, "rule_engine"),
)


def answers(name: str, about: dict[str, Any], peers: tuple[Contender, ...], target: str) -> Case:
    return Case(
        name=name, unit="ns", better="lower", ours=contender("Insula", by_insula, about),
        floor=contender("a lambda", by_lambda, about), peers=peers, target=target,
    )  # fmt: skip


CASES = (
    answers("small dict", SMALL, CEL, "≤ 1.8 × floor, ≤ 0.05 × peer"),
    answers("large dict", LARGE, (contender("CEL in Rust", by_rust, LARGE, "cel"),), "≤ 1.8 × floor"),
    answers("small dict, other languages", SMALL, OTHERS, ""),
    Case(
        name="compile",
        unit="µs",
        better="lower",
        ours=compiling("Insula", lambda: Rule.parse(RULE)),
        peers=(
            compiling("CEL in Rust", by_rust, "cel"),
            compiling("cel-python", by_cel_python, "celpy"),
            compiling("rule-engine", by_rule_engine, "rule_engine"),
        ),
        target="≤ 400",
    ),
)


if __name__ == "__main__":
    run(__doc__ or "", CASES)
