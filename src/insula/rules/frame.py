"""One answering of a rule: what it is asked about, the variables of its macros, and the steps it has left."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from insula.rules.errors import BudgetExceeded

Step = Callable[["Frame"], Any]
"""Part of a rule, ready to be answered."""

STEPS = 1_000_000


class Frame:
    """Parameters: `subjects`, name -> what it stands for; `slots`, how many variables macros need; `steps`, how often a
    macro may look at an element, and how many times 64 characters or elements results may have, before it is given up.
    """

    __slots__ = ("slots", "steps", "subjects")

    def __init__(self, subjects: Mapping[str, Any], slots: int, steps: int) -> None:
        self.subjects = subjects
        self.slots: list[Any] = [None] * slots
        self.steps = steps

    def spend(self, steps: int) -> None:
        """Raises `BudgetExceeded` when there are no more."""
        self.steps -= steps
        if self.steps < 0:
            raise BudgetExceeded("the rule was given up: it takes more steps than it may")
