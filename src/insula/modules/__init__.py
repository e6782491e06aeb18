"""Modules and systems: declarations, recorded as values and checked when they are put together."""

from insula.modules.assembly import Assembly, assemble
from insula.modules.declaration import (
    BindingDeclaration,
    Declaration,
    HandlerDeclaration,
    HandlerKind,
    MountDeclaration,
    Place,
    PortParameter,
    RouteDeclaration,
)
from insula.modules.module import Module
from insula.modules.system import System

__all__ = [
    "Assembly",
    "BindingDeclaration",
    "Declaration",
    "HandlerDeclaration",
    "HandlerKind",
    "Module",
    "MountDeclaration",
    "Place",
    "PortParameter",
    "RouteDeclaration",
    "System",
    "assemble",
]
