"""Would your invariants notice a broken framework? Break it on purpose, one promise at a time, and see.

with stage(simulation) as opened:
    print(table(try_mutations(opened, range(200))))
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from insula.simulation.choices import Plan
from insula.simulation.faults import described
from insula.simulation.hunting import broken
from insula.simulation.setting import Mutation
from insula.simulation.simulation import Stage

__all__ = ["MUTATIONS", "Mutation", "Verdict", "mutations_of", "table", "try_mutation", "try_mutations"]

MUTATIONS: Sequence[Mutation] = (
    Mutation("no inbox", "a message that comes again is handled again", broken.no_inbox),
    Mutation("no outbox", "what is published arrives before, and also without, the commit", broken.no_outbox),
    Mutation("retries doubled", "every message from a log is handled twice", broken.retries_doubled),
    Mutation("order ignored", "messages of one key overtake each other, and parked ones", broken.order_ignored),
    Mutation("no retry", "a message whose handler fails once counts as taken", broken.no_retry),
    Mutation("stale peeks", "what was peeked is not checked again when the turn begins", broken.stale_peeks),
)
"""Those that every system has; `mutations_of` adds its own."""

SEEDS_LISTENED = 10
"""Seeds by which it is found out what handlers publish in answer, each without faults and with them."""

_NOTE = '"Not noticed" means: your invariants or workload do not depend on it, or they would miss it in production.'


@dataclass(frozen=True)
class Verdict:
    """Whether a mutation was noticed.

    Parameters: `mutation`; `seeds`, how many were given; `invariant`, the name of the one that broke, None if none did;
    `detail`, what it found; `seed` and `plan` of the run, which `Stage.run` takes together with the mutation; `fault`,
    the only one of that run if it was one of a sweep.
    """

    mutation: Mutation
    seeds: int
    invariant: str | None = None
    detail: str = ""
    seed: int = 0
    plan: Plan | None = None
    fault: str = ""

    @property
    def caught(self) -> bool:
        """Whether an invariant broke."""
        return self.invariant is not None

    @property
    def how_soon(self) -> str:
        """By which seed, and by which fault if one is enough; or how many seeds were in vain."""
        if not self.caught:
            return f"in {self.seeds} seeds"
        if self.fault:
            return f"seed {self.seed}, only: {self.fault}"
        return f"seed {self.seed}" if self.plan is None else f"seed {self.seed}, without faults"


def mutations_of(stage: Stage) -> Sequence[Mutation]:
    """`MUTATIONS`, and for each event that a consumer publishes in answer to a message: that it gets lost.

    What consumers publish is seen in a few runs, so the workload has to lead there. An event that nobody takes is left
    out.
    """
    found: set[tuple[str, str]] = set()
    listening = Mutation("none", "nothing is broken", partial(broken.listening, found))
    for seed in range(SEEDS_LISTENED):
        stage.run(seed, Plan(seed), listening)
        stage.run(seed, None, listening)
    taken = {each.message.__message_name__ for _, each in stage.assembly.consumers if each.message is not None}
    dropped = [
        Mutation(f"events dropped: {name}", f"{name} never arrives anywhere", partial(broken.dropped, name))
        for name in sorted({name for _, name in found} & taken)
    ]
    return (*MUTATIONS, *dropped)


def try_mutations(
    stage: Stage,
    seeds: Iterable[int],
    every_single_fault: bool = False,
    mutations: Sequence[Mutation] | None = None,
) -> Sequence[Verdict]:
    """Try each mutation until an invariant notices it or the seeds are exhausted.

    Parameters: `seeds`, each tried without faults and then with its own; `every_single_fault`, to try before them every
    single fault that could strike under the first seed; `mutations` (default: `mutations_of` the stage).
    """
    seeds = list(seeds)
    chosen = mutations_of(stage) if mutations is None else mutations
    return [try_mutation(stage, each, seeds, every_single_fault) for each in chosen]


def try_mutation(stage: Stage, mutation: Mutation, seeds: Sequence[int], every_single_fault: bool = False) -> Verdict:
    """Try one mutation. A run that breaks an invariant without it as well says nothing about it."""
    for seed, plan, fault in _attempts(stage, mutation, seeds, every_single_fault):
        found = _broken(stage, seed, plan, mutation)
        if found is not None and _broken(stage, seed, plan, None) is None:
            return Verdict(mutation, len(seeds), *found, seed, plan, fault)
    return Verdict(mutation, len(seeds))


def _attempts(
    stage: Stage, mutation: Mutation, seeds: Sequence[int], every_single_fault: bool
) -> Iterator[tuple[int, Plan | None, str]]:
    for seed in seeds[:1] if every_single_fault else ():
        yield seed, Plan(seed), ""
        for choice, value in stage.run(seed, Plan(seed), mutation).offered.items():
            parameter = value(0.5)
            yield seed, Plan(seed, {choice: parameter}), f"{choice[1]}: {described(choice[0], parameter)}"
    for seed in seeds:
        yield seed, Plan(seed), ""
        yield seed, None, ""


def _broken(stage: Stage, seed: int, plan: Plan | None, mutation: Mutation | None) -> tuple[str, str] | None:
    """The invariant that a run breaks, and what it found."""
    violation = stage.run(seed, plan, mutation).violation
    return None if violation is None else (violation.invariant, violation.detail)


def table(verdicts: Sequence[Verdict]) -> str:
    """The verdicts as text: a line each, and what "not noticed" means if there is any."""
    rows = [("mutation", "caught by", "how soon")]
    rows += [(each.mutation.name, each.invariant or "– not noticed", each.how_soon) for each in verdicts]
    first, second = (max(len(row[column]) for row in rows) + 2 for column in (0, 1))
    lines = [f"{name:{first}}{caught:{second}}{how_soon}" for name, caught, how_soon in rows]
    if not all(each.caught for each in verdicts):
        lines.append(_NOTE)
    return "\n".join(lines) + "\n"
