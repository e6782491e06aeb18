"""Makes a tree ready to be answered, with all functions and macros that there are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from insula.rules.evaluation import Preparation
from insula.rules.frame import STEPS, Frame
from insula.rules.functions.declared import Declarations, declared, named_functions
from insula.rules.functions.encoders import ENCODERS
from insula.rules.functions.mathematics import MATHEMATICS
from insula.rules.functions.optionals import OPTIONALS
from insula.rules.functions.registry import Functions
from insula.rules.functions.standard import STANDARD
from insula.rules.functions.strings import STRINGS
from insula.rules.functions.times import TIMES
from insula.rules.macros import MACROS
from insula.rules.tree import Node

FUNCTIONS = Functions(STANDARD, TIMES, STRINGS, MATHEMATICS, ENCODERS, OPTIONALS)


def functions_with(declarations: Declarations | None) -> Functions:
    """Those of CEL and those of the application. Raises `RuleError` that names what is wrong with one of them."""
    own = named_functions(declarations)
    if not own:
        return FUNCTIONS
    taken = {*MACROS, *FUNCTIONS.plain, *(f".{name}" for name in FUNCTIONS.methods)}
    return Functions(FUNCTIONS, declared(own, taken))


class Looking:
    """Answers parts of a rule, one after the other. All of them together may take no more than four whole answers.

    Parameters: `about`, the subjects; `steps`, how many an answer may take.
    """

    def __init__(self, about: Mapping[str, Any], functions: Functions, steps: int = STEPS) -> None:
        self._about = about
        self._functions = functions
        self._left = 4 * steps

    def __call__(self, node: Node) -> Any:
        """The answer of a part."""
        preparation = Preparation(self._functions, MACROS, strict=False)
        step = preparation.value(node)
        frame = Frame(self._about, preparation.slots, self._left)
        try:
            return step(frame)
        finally:
            self._left = frame.steps


def ready(
    tree: Node, *, steps: int = STEPS, check: bool = True, functions: Functions = FUNCTIONS
) -> Callable[[Mapping[str, Any]], Any]:
    """A function of the subjects. Raises `RuleError` for what can never be answered, if that is to be checked."""
    preparation = Preparation(functions, MACROS, strict=check)
    step, slots = preparation.value(tree), preparation.slots
    return lambda subjects: step(Frame(subjects, slots, steps))
