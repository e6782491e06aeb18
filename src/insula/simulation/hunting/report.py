"""What a hunt came to, as a value and in words."""

from __future__ import annotations

from dataclasses import dataclass, field

from insula.modules import Assembly
from insula.simulation.hunting.coverage import Coverage
from insula.simulation.simulation import Outcome
from insula.simulation.telling.timeline import timeline


@dataclass
class Report:
    """What a hunt came to.

    Fields: `runs` and `seconds` in all; `failures`, the shortest failing run of each invariant; `failing_runs`, how
    many failed; `coverage`; `never`, the `sometimes` that were true in no run; `unrepeatable`, what keeps a run from
    being repeated, each with its place: a real clock, chance, the order of a set; `leaks`, state that survives a
    simulated crash; `unchecked`, why no other interpreter was asked to repeat a run, None if one was.
    """

    assembly: Assembly
    runs: int = 0
    seconds: float = 0.0
    failures: list[Outcome] = field(default_factory=list)
    failing_runs: int = 0
    coverage: Coverage = field(default_factory=Coverage)
    never: list[str] = field(default_factory=list)
    unrepeatable: list[str] = field(default_factory=list)
    leaks: list[str] = field(default_factory=list)
    unchecked: str | None = None

    @property
    def holds(self) -> bool:
        """Whether nothing was violated, all that should happen sometimes did, and each run can be repeated."""
        return not (self.failures or self.never or self.unrepeatable)

    def __str__(self) -> str:
        return "\n".join([self.summary, *(timeline(each) for each in self.failures)])

    @property
    def summary(self) -> str:
        """Everything but the failing runs."""
        rate = self.runs / self.seconds if self.seconds else 0.0
        verdict = "everything held" if self.holds else f"{self.failing_runs:,} failed"
        lines = [f"{self.runs:,} runs in {self.seconds:.1f} s ({rate:.0f} a second): {verdict}"]
        lines += [f"  {line}" for line in self.coverage.lines(self.assembly)]
        lines += [f"  sometimes: {name} in {count:,} runs" for name, count in sorted(self.coverage.seen.items())]
        lines += [f"  NEVER: {name}; the workload does not show it" for name in self.never]
        lines += [f"  NOT REPEATABLE: {what}" for what in self.unrepeatable]
        lines += [f"  note: {what}" for what in self.leaks]
        if self.unchecked is not None:
            lines.append(f"  note: {self.unchecked}")
        return "\n".join(lines)
