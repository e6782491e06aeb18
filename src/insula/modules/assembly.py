"""Putting a system together: slices imported, declarations checked against each other, all problems told at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from insula.kernel.errors import AssemblyError
from insula.messages import Message
from insula.modules import checks
from insula.modules.catalog import collect_messages, handlers_of, owners
from insula.modules.declaration import BindingDeclaration, HandlerDeclaration, MountDeclaration, RouteDeclaration
from insula.modules.module import Module
from insula.modules.signature import finished
from insula.modules.slices import import_slices
from insula.modules.system import System


@dataclass(frozen=True)
class Assembly:
    """A system whose parts fit: what is handled by whom. All annotations of ports are types.

    Fields: `handlers`, command or query class -> its module and handler; `consumers` of events, `schedules` and
    `routes`, in order of declaration; `messages`, wire name -> class; `bindings`, module -> port -> binding;
    `mounts`, applications served under a path.
    """

    system: System
    handlers: Mapping[type[Message], tuple[Module, HandlerDeclaration]]
    consumers: tuple[tuple[Module, HandlerDeclaration], ...]
    schedules: tuple[tuple[Module, HandlerDeclaration], ...]
    routes: tuple[tuple[Module, RouteDeclaration, HandlerDeclaration], ...]
    mounts: tuple[tuple[Module, MountDeclaration], ...]
    messages: Mapping[str, type[Message]]
    bindings: Mapping[Module, Mapping[Any, BindingDeclaration]]
    owners: Mapping[type[Message], Module]

    def owner(self, message: type[Message]) -> Module:
        """The module that handles a command or query, or in whose files an event is written.

        Raises LookupError for a message that none handles, and for an event in a file that several modules share.
        """
        try:
            return self.owners[message]
        except KeyError:
            raise LookupError(f"no module of {self.system.name!r} owns {message.__name__}") from None


def assemble(
    system: System,
    *,
    framework_ports: frozenset[Any] = frozenset(),
    awaited_ports: frozenset[Any] = frozenset(),
    blocking_ports: frozenset[Any] = frozenset(),
) -> Assembly:
    """Import the slices of every module and check that all declarations fit together.

    Parameters: `framework_ports`, the types that any handler may ask for; those of them only an `async def` handler can
    use are `awaited_ports`, those only a `def` handler can use `blocking_ports` (each may be left out of the first).
    Raises AssemblyError that lists all problems, each with its places as file:line.
    """
    modules, problems = system.modules, list[str]()
    failed = [failure for module in modules for failure in import_slices(module)]
    problems.extend(text for text, _ in failed)
    checks.check_modules(modules, problems)
    handlers = [(module, _resolved(item, problems)) for module in modules for item in handlers_of(module)]
    checks.check_handlers(handlers, problems)
    bindings = checks.check_bindings(modules, problems)
    provided = framework_ports | awaited_ports | blocking_ports
    checks.check_ports(handlers, bindings, provided, awaited_ports, blocking_ports, problems)
    routes = checks.check_routes(modules, handlers, problems)
    messages = collect_messages(modules, problems)
    if problems:
        raise _assembly_error(system, problems) from (failed[0][1] if failed else None)
    return Assembly(
        system=system,
        handlers={item.message: (module, item) for module, item in handlers if _answers(item) and item.message},
        consumers=tuple((module, item) for module, item in handlers if item.kind == "event"),
        schedules=tuple((module, item) for module, item in handlers if item.kind == "schedule"),
        routes=routes,
        mounts=tuple((m, item) for m in modules for item in m.declarations if isinstance(item, MountDeclaration)),
        messages=messages,
        bindings=bindings,
        owners=owners(modules),
    )


def _answers(declaration: HandlerDeclaration) -> bool:
    return declaration.kind in ("command", "query")


def _resolved(declaration: HandlerDeclaration, problems: list[str]) -> HandlerDeclaration:
    try:
        return finished(declaration)
    except TypeError as error:
        problems.append(str(error))
        return declaration


def _assembly_error(system: System, problems: list[str]) -> AssemblyError:
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    listed = "".join(f"\n  - {problem}" for problem in problems)
    return AssemblyError(f"{system.place} does not fit together, {count}:{listed}")
