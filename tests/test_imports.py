"""Importing one capability loads no other's dependency: measured in a fresh interpreter."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

MEASURE = """
import importlib, json, sys
before = set(sys.modules)
importlib.import_module(sys.argv[1])
loaded = {name.partition(".")[0] for name in set(sys.modules) - before}
print(json.dumps(sorted(loaded)))
"""

# What msgspec and SQLAlchemy bring along by themselves.
MSGSPEC = {"msgspec", "typing_extensions"}
SQLALCHEMY = {"sqlalchemy", "typing_extensions", "greenlet"}

ALLOWED: dict[str, set[str]] = {
    "insula": set(),
    "insula.kernel": set(),
    "insula.kernel.cron": set(),
    "insula.kernel.money": MSGSPEC,
    "insula.messages": MSGSPEC,
    "insula.modules": MSGSPEC,
    "insula.resilience": set(),
    "insula.flags": MSGSPEC | {"re2"},
    "insula.flags.openfeature": MSGSPEC | {"re2", "openfeature"},
    "insula.adapters.sql.flag_table": MSGSPEC | SQLALCHEMY | {"re2"},
    "insula.adapters.http.flag_poll": MSGSPEC | {"re2"},
    "insula.streams": set(),
    "insula.store.unit_of_work": MSGSPEC | SQLALCHEMY,
    "insula.messaging.bus": MSGSPEC | SQLALCHEMY,
    "insula.messaging.inbox": MSGSPEC | SQLALCHEMY,
    "insula.messaging.outbox": MSGSPEC | SQLALCHEMY,
    "insula.messaging.transport": MSGSPEC,
    "insula.adapters.sqlite.database": MSGSPEC | SQLALCHEMY,
    "insula.adapters.kafka.transport": MSGSPEC | {"confluent_kafka"},
    "insula.adapters.http.destination": MSGSPEC,
    "insula.adapters.http.neighbours": MSGSPEC,
    "insula.adapters.sql.transactions": SQLALCHEMY,
    "insula.adapters.memory.transport": MSGSPEC,
    "insula.runtime.local.nats": MSGSPEC | SQLALCHEMY,
    "insula.adapters.postgres.database": MSGSPEC | SQLALCHEMY | {"asyncpg"},
    "insula.runtime.application": MSGSPEC | SQLALCHEMY,
}


def loaded_by(module: str) -> set[str]:
    """Names of the top-level packages that importing the module loads in a new process."""
    command = [sys.executable, "-c", MEASURE, module]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return set(json.loads(ran.stdout))


def is_third_party(package: str) -> bool:
    """Neither ours, nor Python's, nor one that a compiled extension makes for itself."""
    generated = package.startswith(("_cython_", "cython_runtime", "_sysconfigdata"))
    return package != "insula" and package not in sys.stdlib_module_names and not generated


@pytest.mark.parametrize("module", ALLOWED)
def test_importing_one_capability_loads_no_unrelated_dependency(module: str) -> None:
    assert {package for package in loaded_by(module) if is_third_party(package)} <= ALLOWED[module]


@pytest.mark.parametrize(
    "module", ["insula", "insula.kernel", "insula.messages", "insula.modules", "insula.resilience", "insula.flags"]
)
def test_the_low_floors_start_no_event_loop_machinery(module: str) -> None:
    assert not loaded_by(module) & {"asyncio", "ssl", "socket", "sqlite3", "multiprocessing", "concurrent"}
