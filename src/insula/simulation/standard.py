"""Invariants that every system has."""

from __future__ import annotations

from itertools import pairwise

from insula.simulation.invariants import Snapshot, eventually
from insula.store.database import ParkedState


@eventually
def logs_have_no_gaps(state: Snapshot) -> None:
    """Each position follows the one before it."""
    for module in state.modules:
        for before, after in pairwise(state.inspection.positions(module)):
            assert after == before + 1, f"{module.name}: {after} follows {before}"


@eventually
def no_message_is_given_up(state: Snapshot) -> None:
    """There are no dead letters."""
    for module in state.modules:
        for parked in state.inspection.parked(module):
            assert parked.state is not ParkedState.DEAD, (
                f"{parked.consumer} gave up {parked.envelope.type}: {parked.error}"
            )


STANDARD = (logs_have_no_gaps,)
WITHOUT_DEAD_LETTERS = no_message_is_given_up
