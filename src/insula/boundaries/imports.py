"""Imports between modules: whatever is not the other's contract is a crossing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING

from insula.kernel.errors import InsulaError
from insula.modules import System

if TYPE_CHECKING:
    from grimp import ImportGraph


class CheckUnavailable(InsulaError):
    """The imports cannot be read: grimp, of the extra `insula[check]`, is not installed."""


@dataclass(frozen=True, slots=True, order=True)
class Crossing:
    """One import that goes past a module's contract.

    Parameters: `importer` and `imported`, Python module names; `line`, where, 0 if unknown; `owner`, the name of the
    Insula module that is reached into; `contract`, what may be imported instead.
    """

    importer: str
    line: int
    imported: str
    owner: str
    contract: str

    def __str__(self) -> str:
        return (
            f"{self.importer}:{self.line} imports {self.imported}, which is inside module {self.owner}; import "
            f"{self.contract}, or ask, call or listen through its messages"
        )


def crossings(system: System) -> Sequence[Crossing]:
    """Every import from one module's package into another's that is not its contract, in order of place.

    A module's package is the one it names as `slices`, its contract `contract`, or `<slices>.contract`. A module
    without `slices` has no package of its own and is not looked at. Read from the source by grimp; nothing is run.
    Raises CheckUnavailable.
    """
    packages = {module.slices: module.name for module in system.modules if module.slices is not None}
    if len(packages) < 2:
        return ()
    contracts = {module.slices: module.contract or f"{module.slices}.contract" for module in system.modules}
    graph = _graph(sorted({package.partition(".")[0] for package in packages}))
    return sorted(
        crossing
        for importer, owner in permutations(packages, 2)
        for crossing in _between(graph, importer, owner, packages, contracts[owner])
    )


def _graph(roots: Sequence[str]) -> ImportGraph:
    try:
        import grimp
    except ImportError as error:
        raise CheckUnavailable("imports between modules were not checked; pip install 'insula[check]'") from error
    return grimp.build_graph(*roots, include_external_packages=False, cache_dir=None)


def _between(
    graph: ImportGraph, importer: str, owner: str, packages: Mapping[str, str], contract: str
) -> list[Crossing]:
    found: list[Crossing] = []
    for inner in _within(graph, importer):
        for target in graph.find_modules_directly_imported_by(inner):
            if _lies_in(target, owner) and not _lies_in(target, contract):
                details = graph.get_import_details(importer=inner, imported=target)
                lines = [detail["line_number"] for detail in details] or [0]
                found.extend(Crossing(inner, line, target, packages[owner], contract) for line in lines)
    return found


def _within(graph: ImportGraph, package: str) -> set[str]:
    return {package, *graph.find_descendants(package)} if package in graph.modules else set()


def _lies_in(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")
