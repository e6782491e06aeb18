"""python -m shop.traffic as a command."""

import json
import os
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from insula.runtime import presence
from shop.traffic.__main__ import traffic


@pytest.fixture
def command() -> typer.Typer:
    app = typer.Typer()
    app.command()(traffic)
    return app


def test_it_exits_with_1_where_no_shop_answers(command: typer.Typer) -> None:
    nowhere = ["--url", "http://127.0.0.1:9", "--orders", "3", "--patience", "0", "--json"]
    result = CliRunner().invoke(command, nowhere)
    numbers = json.loads(result.stdout)
    assert (result.exit_code, numbers["orders"], numbers["placed"]) == (1, 3, 0)
    assert "Cannot connect" in numbers["troubles"][0]
    assert "no shop answers at http://127.0.0.1:9" in result.stderr
    assert "start it with `make run`" in result.stderr


def test_it_names_the_addresses_of_the_processes_that_run_on_this_directory(
    command: typer.Typer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for port in (8101, 8102):
        home = tmp_path / ".insula" / presence.PARTS / str(port)
        presence.write(home, presence.Presence(os.getpid(), f"http://127.0.0.1:{port}", "token"))
    nowhere = ["--url", "http://127.0.0.1:9", "--orders", "3", "--patience", "0", "--json"]
    said = CliRunner().invoke(command, nowhere).stderr
    assert "one runs at http://127.0.0.1:8101, http://127.0.0.1:8102: give --url http://127.0.0.1:8101" in said


def test_it_exits_with_2_where_the_folder_is_none(tmp_path: Path, command: typer.Typer) -> None:
    result = CliRunner().invoke(command, ["--northwind", str(tmp_path)])
    assert result.exit_code == 2
    assert "products.csv" in result.stderr


def test_its_help_has_an_example(command: typer.Typer) -> None:
    assert "Example: python -m shop.traffic" in CliRunner().invoke(command, ["--help"]).stdout
