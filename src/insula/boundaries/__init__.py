"""Checks that modules meet only where they may: at each other's contracts."""

from insula.boundaries.imports import CheckUnavailable, Crossing, crossings

__all__ = ["CheckUnavailable", "Crossing", "crossings"]
