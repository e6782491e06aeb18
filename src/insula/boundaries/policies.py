"""Resilience policies of a system that are most likely composed in a way that nobody means."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType

from insula.modules import Place, System
from insula.modules.declaration import HandlerDeclaration
from insula.resilience import Finding, Policy, ResiliencePipeline, lint


@dataclass(frozen=True, slots=True)
class PolicyProblem:
    """What `lint` finds in a policy of the system. Parameters: `place`, the variable that holds it; `finding`."""

    place: Place
    finding: Finding

    def __str__(self) -> str:
        return f"{self.place}: {self.finding}"


def policy_problems(system: System) -> Sequence[PolicyProblem]:
    """What `lint` finds in the policies that a system's Python modules hold in variables, in order of place.

    Looked at are the modules that are imported by then and lie in the same top-level packages as the handlers. A policy
    within a pipeline that is looked at itself, and one that stands in a function or a class, is not.
    """
    held = {id(policy): (module, variable, policy) for module, variable, policy in _held(_roots(system))}
    within = {id(inner) for _, _, policy in held.values() for inner in _all_within(policy)}
    problems = [
        PolicyProblem(_place(module, variable), finding)
        for identity, (module, variable, policy) in held.items()
        if identity not in within
        for finding in lint(policy)
    ]
    return sorted(problems, key=lambda problem: (problem.place.file, problem.place.line, problem.finding.rule))


def _roots(system: System) -> set[str]:
    functions = [
        declaration.function
        for module in system.modules
        for declaration in module.declarations
        if isinstance(declaration, HandlerDeclaration)
    ]
    packages = [function.__module__ for function in functions] + [module.slices for module in system.modules]
    return {package.partition(".")[0] for package in packages if package}


def _held(roots: set[str]) -> list[tuple[ModuleType, str, Policy]]:
    """Every policy in a variable; of several that hold the same one, that which assigns it comes last."""
    modules = [module for name, module in sorted(sys.modules.items()) if name.partition(".")[0] in roots]
    found = [
        (module, variable, value)
        for module in modules
        for variable, value in list(vars(module).items())
        if issubclass(type(value), Policy)  # `isinstance` would make objects that stand for others show themselves
    ]
    return sorted(found, key=lambda each: _line(each[0], each[1]) > 0)


def _all_within(policy: Policy) -> Iterator[Policy]:
    for each in policy.policies if isinstance(policy, ResiliencePipeline) else ():
        yield each
        yield from _all_within(each)


def _place(module: ModuleType, variable: str) -> Place:
    return Place(module.__file__ or module.__name__, _line(module, variable), variable)


def _line(module: ModuleType, variable: str) -> int:
    """Where a module assigns a variable last; 0 if it does not, but imports it, or if it has no source."""
    try:
        tree = ast.parse(inspect.getsource(module))
    except (OSError, TypeError, SyntaxError):
        return 0
    names = (node for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))
    return max((node.lineno for node in names if node.id == variable), default=0)
