"""One answering of a rule: what it is asked about, the variables of its macros, and the steps it has left."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from insula.rules.errors import BudgetExceeded

Step = Callable[["Frame"], Any]
"""Part of a rule, ready to be answered."""

STEPS = 1_000_000


class Frame:
    """Parameters: `subjects`, name -> what it stands for; `slots`, how many variables macros need; `steps`, how much
    may be done before it is given up. An element that a macro looks at is a step, or more where much is done with it;
    so are eight elements that are read or compared, and 64 characters that are read or made.
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
