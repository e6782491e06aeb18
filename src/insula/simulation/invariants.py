"""What must be true: after each commit, always, in the end, or at least once."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from insula.kernel.errors import ConfigurationError
from insula.messages import Envelope, Event, decoder
from insula.modules import Module
from insula.runtime.inspection import Inspection
from insula.store.unit_of_work import Parameters, Statement

E = TypeVar("E", bound=Event)
P = TypeVar("P")

When = Literal["after commit", "always", "eventually", "sometimes"]


class Snapshot:
    """Committed data of every module, at this moment. Nothing can be changed through it."""

    def __init__(self, inspection: Inspection, modules: Sequence[Module], stand_ins: Mapping[type, Any]) -> None:
        self._inspection = inspection
        self._stand_ins = stand_ins
        self._modules = {module.name: module for module in modules}

    @property
    def modules(self) -> Sequence[Module]:
        """Every module of the system."""
        return list(self._modules.values())

    def _module(self, module: Module | str) -> Module:
        name = module if isinstance(module, str) else module.name
        if name not in self._modules:
            raise ConfigurationError(f"there is no module {name!r} in the system; there are {', '.join(self._modules)}")
        return self._modules[name]

    def scalar(self, module: Module | str, statement: Statement, parameters: Parameters = None) -> Any:
        """The first column of the first row, or None."""
        return self._inspection.scalar(self._module(module), statement, parameters)

    def rows(self, module: Module | str, statement: Statement, parameters: Parameters = None) -> Sequence[Any]:
        """The rows of a statement on one module's data."""
        return self._inspection.rows(self._module(module), statement, parameters)

    def log(self, module: Module | str) -> Sequence[Envelope]:
        """What a module has published and sent, in order."""
        return list(self._inspection.log(self._module(module)))

    def events(self, event: type[E]) -> Sequence[E]:
        """Every event of a class, module by module in the order of their logs."""
        name, decode = event.__message_name__, decoder(event)
        return [decode(each.data) for module in self._modules for each in self.log(module) if each.type == name]

    def stand_in(self, port: type[P]) -> P:
        """What stands for a system outside: what `ports=` says for this port; raises ConfigurationError if nothing."""
        if port not in self._stand_ins:
            name = getattr(port, "__name__", repr(port))
            raise ConfigurationError(
                f"state.stand_in({name}): nothing stands in for it; give the simulation ports={{{name}: StandIn}}"
            )
        found: P = self._stand_ins[port]
        return found

    @property
    def inspection(self) -> Inspection:
        """The same data for code that reads with an `Inspection`."""
        return self._inspection


class ModuleSnapshot:
    """Committed data of one module, at this moment."""

    def __init__(self, snapshot: Snapshot, module: str) -> None:
        self._snapshot = snapshot
        self._module = module

    def scalar(self, statement: Statement, parameters: Parameters = None) -> Any:
        """The first column of the first row, or None."""
        return self._snapshot.scalar(self._module, statement, parameters)

    def rows(self, statement: Statement, parameters: Parameters = None) -> Sequence[Any]:
        """The rows of a statement."""
        return self._snapshot.rows(self._module, statement, parameters)


def told(error: BaseException) -> str:
    """An error of the user's code with its place."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({last.filename}:{last.lineno})"


@dataclass(frozen=True)
class Invariant:
    """A check and when it is made. Made by the decorators of this file.

    Parameters: `check`, which raises AssertionError or returns False where it does not hold; `when`; `module`, whose
    commits are followed, None for every module's.
    """

    check: Callable[..., object]
    when: When
    module: str | None = None

    @property
    def name(self) -> str:
        """The function's name in words."""
        return getattr(self.check, "__name__", repr(self.check)).replace("_", " ")

    def broken(self, state: Snapshot | ModuleSnapshot) -> str | None:
        """What does not hold, or None."""
        try:
            answer = self.check(state)
        except AssertionError as error:
            return str(error).partition("\n")[0] or "the assertion does not hold"
        except Exception as error:  # a check that cannot be made has found something too
            return told(error)
        return "it returned False" if answer is False else None


def invariant(*, after_commit: Module | str) -> Callable[[Callable[[ModuleSnapshot], object]], Invariant]:
    """Must hold after each commit of a module: `@invariant(after_commit="inventory")`, `def check(database): ...`."""
    module = after_commit if isinstance(after_commit, str) else after_commit.name

    def declare(check: Callable[[ModuleSnapshot], object]) -> Invariant:
        return _declared(check, "after commit", module)

    return declare


def always(check: Callable[[Snapshot], object]) -> Invariant:
    """Must hold after every commit of any module."""
    return _declared(check, "always")


def eventually(check: Callable[[Snapshot], object]) -> Invariant:
    """Must hold when the faults have stopped and the system has come to rest."""
    return _declared(check, "eventually")


def sometimes(check: Callable[[Snapshot], bool]) -> Invariant:
    """Must be true at the end of at least one run: whatever is to be tested does happen."""
    return _declared(check, "sometimes")


def _declared(check: Callable[..., object], when: When, module: str | None = None) -> Invariant:
    if inspect.iscoroutinefunction(check) or inspect.isasyncgenfunction(check) or inspect.isgeneratorfunction(check):
        # Calling it would only make a coroutine, which nobody awaits: whatever it says would count as true.
        raise ConfigurationError(
            f"invariant {check.__name__} ({check.__module__}) is an `async def` or yields, and would never be carried "
            "out; make it a plain def: reading a snapshot awaits nothing"
        )
    return Invariant(check, when, module)
