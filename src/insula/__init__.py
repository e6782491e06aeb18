"""Insula: a system of modules, written once, that lives in one process or in many.

The names that most programs need; each is loaded when it is first asked for (PEP 562), so that importing one
capability, such as `insula.kernel`, loads nothing of the others.
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "Ask": "insula.messaging.bus",
    "Bus": "insula.messaging.bus",
    "Caller": "insula.kernel.context",
    "Clock": "insula.kernel.clock",
    "Command": "insula.messages",
    "Context": "insula.kernel.context",
    "Event": "insula.messages",
    "Failure": "insula.kernel.errors",
    "Inbox": "insula.messaging.inbox",
    "InsulaError": "insula.kernel.errors",
    "Module": "insula.modules",
    "Money": "insula.kernel.money",
    "Outbox": "insula.messaging.outbox",
    "Query": "insula.messages",
    "Rejection": "insula.kernel.errors",
    "SyncUnitOfWork": "insula.store.unit_of_work",
    "System": "insula.modules",
    "UnitOfWork": "insula.store.unit_of_work",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605 - the same names stand in __init__.pyi for type checkers


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'insula' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
