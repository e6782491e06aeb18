"""One run as text."""

from __future__ import annotations

from insula.simulation.faults import described
from insula.simulation.simulation import Outcome


def timeline(outcome: Outcome) -> str:
    """The story of a run, a line for each happening."""
    lines = [f"seed {outcome.seed}: {outcome.violation or 'everything held'}"]
    lines += [
        f"  {lane}: {key}: {described(lane, outcome.plan.choices[lane, key])}" for lane, key in outcome.plan.faults
    ]
    lines += [f"  {each.at:10.3f}  {each.where:<14} {each.kind:<12} {each.what}" for each in outcome.story]
    return "\n".join(lines)
