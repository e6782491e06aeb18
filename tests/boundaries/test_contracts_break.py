"""Each import contract is a claim; here it is seen to break when somebody breaks the rule it stands for."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONTRACTS = (ROOT / ".importlinter").read_text()

# Contract, where the line is added (a file of its own), the line, and what the report says about it.
VIOLATIONS = {
    "a floor imports upwards": (
        "Floors: imports only point down",
        "src/insula/kernel/planted.py",
        "import insula.messages.planted_target",
        "insula.kernel.planted -> insula.messages.planted_target",
    ),
    "siblings on a floor know each other": (
        "Floors: imports only point down",
        "src/insula/saga/planted.py",
        "import insula.messaging.planted_target",
        "insula.saga.planted -> insula.messaging.planted_target",
    ),
    "a folder stands on no floor": (
        "Floors: imports only point down",
        "src/insula/attic/planted.py",
        "",
        "insula.attic",
    ),
    "two files import each other": (
        "No cycles at any depth",
        "src/insula/messages/planted.py",
        "import insula.messages.planted_target",
        "No cycles are allowed in insula.messages.",
    ),
    "one adapter imports another": (
        "Adapters do not know each other",
        "src/insula/adapters/sqlite/planted.py",
        "import insula.adapters.asgi.planted_target",
        "insula.adapters.sqlite.planted -> insula.adapters.asgi.planted_target",
    ),
    "the command line picks an adapter": (
        "Only the composition root names adapters",
        "src/insula/cli/planted.py",
        "import insula.adapters.sqlite.planted_target",
        "insula.cli.planted",
    ),
    "an inner file enters by the front door": (
        "Nothing inside imports the front door",
        "src/insula/modules/planted.py",
        "from insula import Event",
        "insula.modules.planted -> insula",
    ),
    "a low floor opens a socket": (
        "Only adapters and the floors above touch the outside",
        "src/insula/messaging/planted.py",
        "import socket",
        "insula.messaging.planted -> socket",
    ),
    "a folder of tomorrow starts a thread": (
        "Only adapters and the floors above touch the outside",
        "src/insula/saga/planted.py",
        "import threading",
        "insula.saga.planted -> threading",
    ),
    "an adapter reads the clock": (
        "Time and chance come through the kernel",
        "src/insula/adapters/sqlite/planted.py",
        "import time",
        "insula.adapters.sqlite.planted -> time",
    ),
    "a declaration waits": (
        "Pure floors and decisions are synchronous",
        "src/insula/modules/planted.py",
        "import asyncio",
        "insula.modules.planted -> asyncio",
    ),
    "the kernel leans on a library": (
        "The kernel stands on the standard library",
        "src/insula/kernel/planted.py",
        "import msgspec",
        "insula.kernel.planted -> msgspec",
    ),
    "a shop module looks into another": (
        "Shop modules meet only at contracts",
        "examples/shop/billing/planted.py",
        "import shop.orders.planted_target",
        "shop.billing.planted -> shop.orders.planted_target",
    ),
    "a shop contract carries a table": (
        "Shop contracts and domains know no machinery",
        "examples/shop/orders/contract.py",
        "import sqlalchemy",
        "shop.orders.contract -> sqlalchemy",
    ),
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of everything the contracts speak about, ready to be spoilt."""
    leave = shutil.ignore_patterns("__pycache__", "*.pyi")
    for folder in ("src", "examples"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=leave)
    (tmp_path / ".importlinter").write_text(CONTRACTS)
    return tmp_path


def lint(tree: Path) -> str:
    """What lint-imports says about the copy, not about the installed package."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    environment = os.environ | {"PYTHONPATH": f"{tree / 'src'}{os.pathsep}{tree / 'examples'}", "COLUMNS": "200"}
    ran = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)
    return ran.stdout + ran.stderr


def broken(report: str) -> set[str]:
    """The contracts that the report calls broken."""
    return set(re.findall(r"^(.+?) BROKEN", report, flags=re.MULTILINE))


def write(file: Path, line: str) -> None:
    """Add the line to the file, making it and its package where they do not exist."""
    file.parent.mkdir(exist_ok=True)
    (file.parent / "__init__.py").touch()
    with file.open("a") as handle:
        handle.write(f"{line}\n")


@pytest.mark.parametrize("violation", VIOLATIONS)
def test_a_planted_violation_breaks_its_contract(violation: str, tree: Path) -> None:
    contract, planted, line, reported = VIOLATIONS[violation]
    target = re.search(r"[\w.]+\.planted_target", line)
    if target:
        source = "examples" if line.startswith("import shop") else "src"
        back = "import insula.messages.planted" if contract.startswith("No cycles") else ""
        write(tree / source / (target.group().replace(".", "/") + ".py"), back)
    write(tree / planted, line)

    report = lint(tree)

    assert contract in broken(report), report
    assert reported in report


def test_every_contract_is_seen_to_break() -> None:
    declared = set(re.findall(r"^name = (.+)$", CONTRACTS, flags=re.MULTILINE))
    assert {contract for contract, *_ in VIOLATIONS.values()} == declared


def test_the_tree_as_it_stands_keeps_every_contract(tree: Path) -> None:
    report = lint(tree)
    assert broken(report) == set(), report
    assert "0 broken" in report
