"""The command line, as a user runs it."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from insula.cli.main import application
from support.processes import running, tool

runner = CliRunner()
COMMANDS = [
    "run", "dev", "check", "status", "doctor", "relay", "trace", "events tail", "dead-letters list",
    "dead-letters show", "dead-letters retry", "dead-letters drop", "new system", "new module", "new slice",
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str) -> None:
    result = runner.invoke(application, [*command.split(), "--help"])
    assert result.exit_code == 0
    assert f"Example: insula {command.split(maxsplit=1)[0]}" in result.output


def test_check_says_what_a_sound_system_consists_of() -> None:
    result = runner.invoke(application, ["check", "shop.system:shop", "--json"])
    assert result.exit_code == 0
    found = json.loads(result.output)
    assert found["problems"] == []
    assert {key for key in found if not key.isidentifier()} == set()


def test_check_fails_on_two_handlers_of_one_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "twice.py").write_text(
        "from insula import Command, Module, System\n"
        "class Do(Command[None]):\n    pass\n"
        "one, two = Module('one'), Module('two')\n"
        "@one.handle(Do)\nasync def first(command: Do) -> None: ...\n"
        "@two.handle(Do)\nasync def second(command: Do) -> None: ...\n"
        "system = System('twice', one, two)\n"
    )
    monkeypatch.chdir(tmp_path)
    result = runner.invoke(application, ["check", "twice:system"])
    assert result.exit_code == 1
    assert "twice.py:5" in result.output
    assert "twice.py:7" in result.output


def test_a_target_without_a_colon_is_answered_with_how_to_write_it() -> None:
    result = runner.invoke(application, ["check", "shop.system.shop"])
    assert (result.exit_code, "write package.module:name, like shop.system:shop" in result.output) == (2, True)


@pytest.mark.parametrize(
    "arguments,reason",
    [
        ("system json", "'json': is a module of Python's own"),
        ("system pytest", "'pytest': is an installed package"),
        ("system class", "'class': is a word of the Python language"),
        ("system there", "there: exists already"),
        ("module rooms", "rooms: write all of it, like booking/rooms"),
        ("module nowhere/rooms", "nowhere: is no package"),
        ("slice rooms/book", "rooms/book: write all of it, like booking/rooms/book_room"),
    ],
)
def test_what_cannot_be_written_is_refused_with_its_reason(
    arguments: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    result = runner.invoke(application, ["new", *arguments.split()])
    assert (result.exit_code, reason in result.output) == (2, True), result.output
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_the_version_is_told() -> None:
    result = runner.invoke(application, ["--version"])
    assert (result.exit_code, result.output.split()[0]) == (0, "insula")


@pytest.mark.parametrize("target", ["nothing.here:system", "shop.system:nothing", ""])
def test_a_target_that_is_not_there_is_named(target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = runner.invoke(application, ["check", target])
    assert result.exit_code == 2


def test_a_new_system_runs_its_own_tests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert runner.invoke(application, ["new", "system", "booking"]).exit_code == 0
    monkeypatch.chdir(tmp_path / "booking")
    assert runner.invoke(application, ["new", "slice", "booking/greetings/wave"]).exit_code == 0
    assert runner.invoke(application, ["new", "module", "booking/rooms"]).exit_code == 0
    assert runner.invoke(application, ["new", "slice", "booking/greetings/wave"]).exit_code == 2
    outcome = subprocess.run(
        [sys.executable, "-m", "pytest", "-q"], capture_output=True, text=True, check=False, timeout=60
    )
    assert "5 passed" in outcome.stdout, outcome.stdout + outcome.stderr
    ruff = [sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", "--select", "I", "."]
    sorted_ = subprocess.run(ruff, capture_output=True, text=True, check=False, timeout=60)
    assert sorted_.returncode == 0, sorted_.stdout
    system = tmp_path / "booking" / "booking" / "system.py"
    both = system.read_text().replace("greetings)", "greetings, rooms)")
    system.write_text(both.replace("\n\nbooking =", "\nfrom booking.rooms.module import rooms\n\nbooking ="))
    checked = subprocess.run(
        [sys.executable, "-m", "insula.cli", "check"], capture_output=True, text=True, check=False, timeout=60
    )
    assert "2 modules" in checked.stdout, checked.stdout + checked.stderr


def test_a_running_shop_is_inspected_and_traced(tmp_path: Path) -> None:
    with running(tmp_path / "data") as shop:
        config = tmp_path / "insula.toml"
        config.write_text(f'system = "shop.system:shop"\n[store]\ndirectory = "{shop.directory}"\n')
        traffic = tool("-m", "shop.traffic", "--url", shop.url, "--orders", "20", "--json")
        assert traffic.returncode == 0, traffic.stderr
        status = tool("-m", "insula.cli", "status", "--config", str(config), "--json")
        assert json.loads(status.stdout)["ready"] is True
        tail = tool("-m", "insula.cli", "events", "tail", "--config", str(config), "--module", "orders", "-n", "1")
        assert "orders:" in tail.stdout
        message_id = tail.stdout.split()[-1]
        trace = tool("-m", "insula.cli", "trace", message_id, "--config", str(config))
        assert trace.returncode == 0, trace.stderr
        assert message_id in trace.stdout.replace("\n", "")
        letters = tool("-m", "insula.cli", "dead-letters", "list", "--config", str(config), "--json")
        assert json.loads(letters.stdout) == []
        second = tool("-m", "insula.cli", "run", "--config", str(config), "--port", "0")
        assert second.returncode == 2
        assert f"process {shop.process.pid} has this database open" in second.stderr.replace("\n", " ")
        assert shop.stop() == 0


def test_a_file_that_is_no_database_is_named_at_start(tmp_path: Path) -> None:
    directory = tmp_path / "data"
    directory.mkdir()
    (directory / "orders.db").write_bytes(b"this is no database" * 1000)
    outcome = tool("-m", "insula.cli", "run", "shop.system:shop", "--port", "0", "--directory", str(directory))
    assert outcome.returncode == 2
    assert "orders.db" in outcome.stderr
    assert "Traceback" not in outcome.stderr
    doctor = tool("-m", "insula.cli", "doctor", "shop.system:shop", "--json")
    assert doctor.returncode == 0, doctor.stdout


def test_modules_cannot_reach_each_others_tables(tmp_path: Path) -> None:
    with running(tmp_path / "data") as shop:
        assert shop.stop() == 0
    tables = {}
    for path in (tmp_path / "data").glob("*.db"):
        with sqlite3.connect(path) as connection:
            own = "name not like 'insula%' and name not like 'sqlite%'"
            rows = connection.execute(f"select name from sqlite_master where type = 'table' and {own}")
            tables[path.stem] = {row[0] for row in rows}
    assert len(tables) == 7
    everything = [name for names in tables.values() for name in names]
    assert len(everything) == len(set(everything))
