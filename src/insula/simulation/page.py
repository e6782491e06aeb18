"""One run as a page."""

from __future__ import annotations

from html import escape

from insula.simulation.simulation import Outcome
from insula.simulation.timeline import timeline


def page(outcome: Outcome) -> str:
    """The story of a run."""
    return f"<!doctype html><title>simulation</title><pre>{escape(timeline(outcome))}</pre>\n"
