"""Imports between modules: whatever is not the other's contract is a crossing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING

from insula.kernel.errors import ConfigurationError, InsulaError
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


@dataclass(frozen=True, slots=True)
class Territory:
    """What belongs to one module.

    Parameters: `module`, its name; `package`, the Python package, or the file, that is its own; `contract`, what of it
    others may import.
    """

    module: str
    package: str
    contract: str

    @classmethod
    def of(cls, module: str, package: str, contract: str | None = None) -> Territory:
        """That of a package whose contract is `<package>.contract` by default."""
        return cls(module, package, contract or f"{package}.contract")


def territories(system: System) -> Sequence[Territory]:
    """Those of a system's modules: a module's package is the one it names as `slices`; without one it has none."""
    return [
        Territory.of(module.name, module.slices, module.contract)
        for module in system.modules
        if module.slices is not None
    ]


def crossings(among: Sequence[Territory]) -> Sequence[Crossing]:
    """Every import from one module's package into another's that is not its contract, in order of place.

    Read from the source by grimp; nothing is run. Raises CheckUnavailable, and ConfigurationError for a package that
    is not there.
    """
    if len(among) < 2:
        return ()
    graph = _graph(sorted({each.package.partition(".")[0] for each in among}))
    for each in among:
        if each.package not in graph.modules:
            raise ConfigurationError(
                f"the package of module {each.module}, {each.package}, is not there; is the folder it lies in on "
                "Python's path, and has it an __init__.py?"
            )
    return sorted(
        crossing for importer, owner in permutations(among, 2) for crossing in _between(graph, importer, owner)
    )


def _graph(roots: Sequence[str]) -> ImportGraph:
    try:
        import grimp
        from grimp.exceptions import SourceSyntaxError
    except ImportError as error:
        raise CheckUnavailable("imports between modules were not checked; pip install 'insula[check]'") from error
    try:
        return grimp.build_graph(*roots, include_external_packages=False, cache_dir=None)
    except SourceSyntaxError as error:
        raise ConfigurationError(f"the imports cannot be read: {error}") from error
    except ValueError as error:  # so grimp words what it does not find
        raise ConfigurationError(f"the imports of {', '.join(roots)} cannot be read: {error}") from error


def _between(graph: ImportGraph, importer: Territory, owner: Territory) -> list[Crossing]:
    found: list[Crossing] = []
    for inner in _within(graph, importer.package):
        for target in graph.find_modules_directly_imported_by(inner):
            if _lies_in(target, owner.package) and not _lies_in(target, owner.contract):
                details = graph.get_import_details(importer=inner, imported=target)
                lines = [detail["line_number"] for detail in details] or [0]
                found.extend(Crossing(inner, line, target, owner.module, owner.contract) for line in lines)
    return found


def _within(graph: ImportGraph, package: str) -> set[str]:
    return {package, *graph.find_descendants(package)}


def _lies_in(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")
