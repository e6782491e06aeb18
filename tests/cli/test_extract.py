"""`insula module extract` moves the data of a running shop: real processes, a real server, customers all the while.

Some phases are killed in one way; `make hunt` kills each in all ways (HUNT).
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from insula.adapters.postgres.address import Address
from insula.runtime.local.postgres import LocalPostgres
from support.processes import ROOT, SystemProcess, pause, running, start_tool, tool

_places = count(1)

ORDERS = 300

PLACES = ["copying", "catching up", "verifying", "holding", "switching", "switched"]
EVERYWHERE = bool(os.environ.get("HUNT"))


class Shop:
    """A shop whose orders move. Parameters: `system`; `to`, where; `administrator`, who may make that."""

    def __init__(self, system: SystemProcess, to: str, administrator: str) -> None:
        self.system = system
        self.to = to
        self.administrator = administrator

    def extract(self, *options: str) -> tuple[int, str]:
        """Exit code and output of one command about orders."""
        done = tool("-m", "insula.cli", "module", "extract", "orders", *options, *self._where)
        return done.returncode, " ".join((done.stdout + done.stderr).split())

    def begin(self, *options: str) -> Any:
        """An extraction, going on in the background."""
        return start_tool("-m", "insula.cli", "module", "extract", "orders", *options, *self._where)

    def provisioned(self) -> list[str]:
        """Options for the first extraction."""
        return ["--to", self.to, "--administrator", self.administrator]

    @property
    def _where(self) -> list[str]:
        return ["--directory", str(self.system.directory)]

    def traffic(self, orders: int, *options: str) -> Any:
        """Customers, going on in the background."""
        where = ("--url", self.system.url, "--orders", str(orders), "--in-flight", "8", "--json")
        return start_tool("-m", "shop.traffic", *where, *options)

    def audited(self) -> str:
        """What the audit has to complain of."""
        done = tool("-m", "shop.audit", *self._where, "--json", "--patience", "60")
        if done.returncode > 1:
            return done.stdout + done.stderr
        return "\n".join(str(each) for each in json.loads(done.stdout)["invariants"] if not each["holds"])


@contextmanager
def on(directory: Path, server: LocalPostgres, **options: Any) -> Iterator[Shop]:
    """A shop on files, with a place for its orders on a server."""
    name = f"orders_{os.getpid()}_{next(_places)}"
    to = f"postgresql://{name}:their%20own@127.0.0.1:{server.port}/{name}"
    with running(directory, **options) as system:
        yield Shop(system, to, server.address)


@pytest.fixture
def shop(tmp_path: Path, postgres_server: LocalPostgres) -> Iterator[Shop]:
    with on(tmp_path / "data", postgres_server) as found:
        yield found


def figures(traffic: Any) -> dict[str, Any]:
    """What the customers have to say at their end."""
    output, errors = traffic.communicate(timeout=240)
    assert traffic.returncode == 0, errors[-2000:] + output[-2000:]
    found: dict[str, Any] = json.loads(output)
    return found


def customers_until_the_end_of(extraction: Any, shop: Shop, seeds: Iterator[int]) -> None:
    """Customers come all the while; none of them is refused or has to ask twice."""
    while extraction.poll() is None:
        seed = ("--seed", str(next(seeds)))
        found = figures(shop.traffic(ORDERS, *seed))
        assert (found["retries"], found["refused"], found["placed"]) == (0, {}, ORDERS), found


def test_orders_move_there_and_back_under_load_and_no_request_fails(shop: Shop) -> None:
    seeds = count(1)
    figures(shop.traffic(ORDERS))
    extraction = shop.begin(*shop.provisioned())
    customers_until_the_end_of(extraction, shop, seeds)
    told = " ".join(extraction.communicate()[0].split())
    assert (extraction.returncode, "orders: made database" in told) == (0, True), told
    assert "orders lies in postgresql://" in told
    assert "have the same checksums" in told
    assert 'Write addresses = {orders = "postgresql://' in told
    extraction = shop.begin("--back")
    customers_until_the_end_of(extraction, shop, seeds)
    assert "orders is back from" in extraction.communicate()[0]
    assert shop.audited() == ""
    code, told = shop.extract("--to", shop.to)
    assert code == 0, told
    code, told = shop.extract("--finish", "--remove")
    assert (code, "no way back" in told) == (0, True), told
    assert not (shop.system.directory / "orders.db").exists()
    assert shop.system.stop() == 0, shop.system.output.read_text()[-3000:]
    assert shop.audited() == ""


@contextmanager
def killed_at(place: str, tmp_path: Path, server: LocalPostgres) -> Iterator[Shop]:
    """A shop that is killed at one place of its next extraction."""
    (tmp_path / "kill").touch()
    paths = os.pathsep.join(str(ROOT / part) for part in ("src", "examples", "tests"))
    environment = {"KILL_AT": place, "KILL_FILE": str(tmp_path / "kill"), "PYTHONPATH": paths}
    options = {"target": "support.killed_shop:shop", "environment": environment}
    with on(tmp_path / "data", server, **options) as found:
        yield found
        assert not (tmp_path / "kill").exists()


@pytest.fixture
def mortal(request: pytest.FixtureRequest, tmp_path: Path, postgres_server: LocalPostgres) -> Iterator[Shop]:
    with killed_at(request.param, tmp_path, postgres_server) as found:
        yield found


@pytest.mark.parametrize("mortal", PLACES if EVERYWHERE else ["verifying", "switching"], indirect=True)
def test_what_is_killed_in_the_middle_goes_on_and_nothing_is_lost(mortal: Shop) -> None:
    traffic = mortal.traffic(400)
    pause(1.0)
    extraction = mortal.begin(*mortal.provisioned())
    assert mortal.system.process.wait(60) == -signal.SIGKILL
    mortal.system.start()
    told, errors = extraction.communicate(timeout=90)  # the command notices, and goes on by itself
    assert (extraction.returncode, "orders lies in postgresql://" in told) == (0, True), told + errors
    found = figures(traffic)
    assert (found["refused"], found["placed"]) == ({}, 400), found
    assert mortal.audited() == ""
    assert mortal.system.stop() == 0, mortal.system.output.read_text()[-3000:]
    assert mortal.audited() == ""


@pytest.mark.parametrize("mortal", PLACES if EVERYWHERE else ["catching up", "switched"], indirect=True)
def test_what_is_killed_in_the_middle_can_be_given_up_or_taken_back(mortal: Shop) -> None:
    traffic = mortal.traffic(400)
    pause(1.0)
    extraction = mortal.begin(*mortal.provisioned())
    assert mortal.system.process.wait(60) == -signal.SIGKILL
    extraction.kill()
    extraction.communicate()
    mortal.system.start()
    code, told = mortal.extract("--status")
    broken_off = "it was broken off" in told
    code, told = mortal.extract("--abort" if broken_off else "--back")
    assert (code, ("aborted" if broken_off else "is back from") in told) == (0, True), told
    found = figures(traffic)
    assert (found["refused"], found["placed"]) == ({}, 400), found
    assert mortal.audited() == ""
    assert mortal.system.stop() == 0, mortal.system.output.read_text()[-3000:]
    assert not (mortal.system.directory / "moves" / "orders.json").exists()
    assert mortal.audited() == ""


@pytest.mark.parametrize("place", PLACES[1:] if EVERYWHERE else ["switched"])
def test_what_is_killed_on_its_way_back_comes_back(place: str, tmp_path: Path, postgres_server: LocalPostgres) -> None:
    with killed_at(f"back {place}", tmp_path, postgres_server) as shop:
        code, told = shop.extract(*shop.provisioned())
        assert code == 0, told
        traffic = shop.traffic(400)
        pause(1.0)
        extraction = shop.begin("--back")
        assert shop.system.process.wait(60) == -signal.SIGKILL
        shop.system.start()
        told, errors = extraction.communicate(timeout=90)
        assert (extraction.returncode, "orders is back from" in told) == (0, True), told + errors
        found = figures(traffic)
        assert (found["refused"], found["placed"]) == ({}, 400), found
        assert shop.audited() == ""
        assert shop.system.stop() == 0, shop.system.output.read_text()[-3000:]
        assert not (shop.system.directory / "moves" / "orders.json").exists()


def test_what_cannot_be_is_told_in_one_line(shop: Shop, postgres_address: Address, tmp_path: Path) -> None:
    refused = {
        ("--to", postgres_address.url): "is not empty: it has",
        ("--to", postgres_address.url.replace(":notes", ":nobody's")): "wrong password",
        ("--to", "postgresql://orders@127.0.0.1:1/orders"): "nobody answers at 127.0.0.1:1",
        ("--to", "mysql://orders@localhost/orders"): "is no address of a database",
        ("--back",): "no extraction has switched",
        ("--abort",): "no extraction is under way",
        ("--finish", "--back"): "name one of --to ADDRESS",
    }
    for options, reason in refused.items():
        code, told = shop.extract(*options)
        assert (code, reason in told) == (2, True), told
        assert "Traceback" not in told
    done = tool("-m", "insula.cli", "module", "extract", "order", "--status", "--directory", str(tmp_path / "data"))
    assert "no process here runs a module order" in " ".join(done.stderr.split())
    assert shop.extract("--status") == (0, "no extraction was begun")


def test_a_table_without_a_primary_key_is_refused_by_name(tmp_path: Path) -> None:
    with running(tmp_path / "data", target="hello:shop", cwd=ROOT / "examples") as system:
        to = ("--to", f"sqlite:{tmp_path}/orders.db", "--directory", str(system.directory))
        done = tool("-m", "insula.cli", "module", "extract", "orders", *to)
        assert done.returncode == 2
        assert "table placed has no primary key" in " ".join(done.stderr.split())
        assert not (tmp_path / "orders.db").exists()
