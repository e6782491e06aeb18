"""Which messages a system speaks, and to which module each belongs."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable, Iterator, Mapping

from insula.messages import Command, Event, Message, Query, check_message
from insula.messages.message import MessageMeta
from insula.modules.declaration import HandlerDeclaration, Place
from insula.modules.module import Module

_ROOTS = (Message, Command, Query, Event)


def collect_messages(modules: Iterable[Module], problems: list[str]) -> dict[str, type[Message]]:
    """Wire name -> class, of all that modules handle, and that their contract, slices and handlers' files name.

    Appends to `problems`: two classes with one wire name, a message that cannot be checked or decoded.
    """
    found: dict[str, type[Message]] = {}
    for message in _messages_of(modules):
        other = found.setdefault(message.__message_name__, message)
        if other is message:
            try:
                check_message(message)
            except NameError as error:
                problems.append(f"{Place.of_message(message)}: {error}; messages are declared at the top of a file")
            except TypeError as error:
                problems.append(str(error))
        else:
            places = f"{Place.of_message(other)} and {Place.of_message(message)}"
            problem = f"{places} are both called {message.__message_name__!r} on the wire; give one another `name=`"
            if problem not in problems:
                problems.append(problem)
    return found


def owners(modules: Iterable[Module]) -> dict[type[Message], Module]:
    """Message class -> the module that handles it or, for an event, in whose contract, slices or file it is written.

    An event in a file that several modules share belongs to none.
    """
    modules = tuple(modules)
    owned: dict[type[Message], Module] = {}
    speakers: dict[str, set[Module]] = {}
    for module in modules:
        for name in _python_modules(module):
            speakers.setdefault(name, set()).add(module)
    for message in _messages_of(modules):
        sharing = speakers.get(message.__module__, set())
        if len(sharing) == 1:
            owned[message] = next(iter(sharing))
    for module in modules:
        for declaration in handlers_of(module):
            if declaration.message is not None and declaration.kind != "event":
                owned[declaration.message] = module
    return owned


def handlers_of(module: Module) -> Iterator[HandlerDeclaration]:
    """The handlers among a module's declarations."""
    for declaration in module.declarations:
        if isinstance(declaration, HandlerDeclaration):
            yield declaration


def _messages_of(modules: Iterable[Module]) -> dict[type[Message], None]:
    ordered: dict[type[Message], None] = {}
    for module in modules:
        for declaration in handlers_of(module):
            if declaration.message is not None:
                ordered[declaration.message] = None
        for name in _python_modules(module):
            for value in list(vars(sys.modules[name]).values()):
                if isinstance(value, MessageMeta) and value not in _ROOTS:
                    ordered[value] = None  # type: ignore[index]
    return ordered


def _python_modules(module: Module) -> dict[str, None]:
    """The contract, the slices and the files that declare handlers, as far as they are imported."""
    names: Mapping[str, None] = {
        **dict.fromkeys(inspect.unwrap(handler.function).__module__ for handler in handlers_of(module)),
        **dict.fromkeys((module.contract,) if module.contract else ()),
        **dict.fromkeys(name for name in sys.modules if module.slices and f"{name}.".startswith(f"{module.slices}.")),
    }
    return {name: None for name in names if name in sys.modules}
