"""Which messages a system speaks, and to which module each belongs."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable, Iterator
from typing import cast

from insula.messages import Command, Event, Message, Query, check_message
from insula.messages.message import MessageMeta
from insula.modules.declaration import HandlerDeclaration, Place
from insula.modules.module import Module

_ROOTS = (Message, Command, Query, Event)


def collect_messages(modules: Iterable[Module], problems: list[str]) -> dict[str, type[Message]]:
    """Wire name -> class, of all that modules handle, and that their contract, slices and handlers' files name.

    Appends to `problems`: two classes with one wire name, a message that cannot be checked or decoded.
    """
    modules = tuple(modules)
    found: dict[str, type[Message]] = {}
    for message in _spoken(modules):
        other = found.setdefault(message.__message_name__, message)
        if other is not message:
            places = f"{Place.of_message(other)} and {Place.of_message(message)}"
            problems.append(f"{places} are both called {message.__message_name__!r} on the wire; give one a `name=`")
    for message in _named_in(_files(modules)):
        # A file of handlers may hold messages that are no part of this system, such as a test's.
        found.setdefault(message.__message_name__, message)
    for message in found.values():
        try:
            check_message(message)
        except NameError as error:
            problems.append(f"{Place.of_message(message)}: {error}; messages are declared at the top of a file")
        except TypeError as error:
            problems.append(str(error))
    return found


def owners(modules: Iterable[Module]) -> dict[type[Message], Module]:
    """Message class -> the module that handles it or, for an event, in whose contract, slices or file it is written.

    An event in a file that several modules share belongs to none.
    """
    modules = tuple(modules)
    speakers: dict[str, set[Module]] = {}
    for module in modules:
        for name in {**_contract_and_slices(module), **_files((module,))}:
            speakers.setdefault(name, set()).add(module)
    owned: dict[type[Message], Module] = {}
    for message in {**_spoken(modules), **_named_in(_files(modules))}:
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


def _spoken(modules: Iterable[Module]) -> dict[type[Message], None]:
    """What modules handle, and what their contracts and slices name."""
    spoken: dict[type[Message], None] = {}
    for module in modules:
        handled = (declaration.message for declaration in handlers_of(module))
        spoken.update(dict.fromkeys(message for message in handled if message is not None))
        spoken.update(_named_in(_contract_and_slices(module)))
    return spoken


def _named_in(python_modules: Iterable[str]) -> dict[type[Message], None]:
    named: dict[type[Message], None] = {}
    for name in python_modules:
        for value in list(vars(sys.modules[name]).values()):
            # Not isinstance, which asks the value: a proxy, as web frameworks have them, would look for its request.
            if issubclass(type(value), MessageMeta) and value not in _ROOTS:
                named[cast("type[Message]", value)] = None
    return named


def _contract_and_slices(module: Module) -> dict[str, None]:
    """The Python modules that a module says are its own, as far as they are imported."""
    slices = f"{module.slices}."
    own = (name for name in list(sys.modules) if module.slices and f"{name}.".startswith(slices))
    return {name: None for name in (*own, module.contract) if name in sys.modules}


def _files(modules: Iterable[Module]) -> dict[str, None]:
    """The Python modules that declare handlers."""
    handlers = (handler for module in modules for handler in handlers_of(module))
    names = (inspect.unwrap(handler.function).__module__ for handler in handlers)
    return {name: None for name in names if name in sys.modules}
