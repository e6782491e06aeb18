"""`insula flags`, and what `insula check` says of flags."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.testing import CliRunner

from insula import Module, System
from insula.adapters.sql.flag_table import FlagTable
from insula.cli.main import application
from insula.flags import BooleanFlag, FlagSet, StringFlag

runner = CliRunner()
FILE = """\
# ours
[flags.new-checkout]
owner = "orders"
expires = 2001-02-03
rollout = 20
allow = ["ann"]

[flags.theme]
variants = { dark = "d", light = "l" }
default = "light"
targeting = 'country == "DE" ? "dark" : ""'
requires = ["new-checkout"]
off = "light"
"""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the test's own, whose insula.toml names the file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "insula.toml").write_text('[flags]\nsource = "flags.toml"\n')
    file = tmp_path / "flags.toml"
    file.write_text(FILE)
    return file


def run(*words: str, code: int = 0) -> str:
    """What a command prints."""
    result = runner.invoke(application, ["flags", *words])
    assert result.exit_code == code, result.output
    return result.output


def told(*words: str, code: int = 0) -> Any:
    """What a command prints as JSON."""
    return json.loads(run(*words, "--json", code=code))


def test_list_shows_the_state_of_each_flag(path: Path) -> None:
    assert [(row["flag"], row["state"], row["rollout"], row["owner"], row["expires"]) for row in told("list")] == [
        ("new-checkout", "expired", "on 20 %", "orders", "2001-02-03"),
        ("theme", "targeted", "", "", None),
    ]
    assert "new-checkout" in run("list", "--source", str(path))


def test_show_prints_how_a_flag_is_written(path: Path) -> None:
    found = told("show", "new-checkout")
    assert (found["definition"]["owner"], found["history"]) == ("orders", [])
    assert "did you mean theme?" in run("show", "themes", code=1)


def test_set_changes_the_file_and_nothing_else_in_it(path: Path) -> None:
    run("set", "new-checkout", "rollout=30", "owner=", "--dry-run")
    assert path.read_text() == FILE
    run("set", "new-checkout", "rollout=30", "owner=")
    assert path.read_text() == FILE.replace("rollout = 20", "rollout = 30").replace('owner = "orders"\n', "")
    assert told("set", "new-checkout", "rollout=30")["changed"] is False
    assert "nothing changes" in run("set", "new-checkout", "rollout=30")


def test_set_refuses_what_would_be_no_flag(path: Path) -> None:
    assert "120 % is not between" in run("set", "new-checkout", "rollout=120", code=1)
    assert "there is no setting rolout" in run("set", "new-checkout", "rolout=20", code=1)
    assert "write NAME=VALUE" in run("set", "new-checkout", "rollout", code=2)
    assert "has no flag nobodys" in run("set", "nobodys", "rollout=20", code=1)
    assert path.read_text() == FILE


def test_set_writes_a_new_flag_and_the_file_where_there_is_none(path: Path) -> None:
    run("set", "search", "--new", "rollout.on=1.5", "owner=search")
    assert FlagSet.load(path)["search"].owner == "search"
    assert path.read_text().startswith(FILE)
    for name in ("other.toml", "other.json"):
        run("set", "search", "--new", "owner=search", "--source", name)
        assert FlagSet.load(Path(name))["search"].owner == "search"


def test_kill_turns_a_flag_off_and_undo_lets_it_live(path: Path) -> None:
    run("kill", "new-checkout")
    assert told("list")[0]["state"] == "killed, expired"
    (row,) = told("explain", "ann", "--flag", "new-checkout")
    assert (row["value"], row["because"]) == (False, "it is killed")
    run("kill", "new-checkout", "--undo")
    assert path.read_text() == FILE


def test_kill_says_what_everybody_gets(path: Path) -> None:
    assert "everybody gets off = false" in run("kill", "new-checkout")
    assert 'everybody gets light = "l"' in run("kill", "theme")
    assert told("kill", "theme") == {"flag": "theme", "changes": {"killed": True}, "changed": False, "dry_run": False}


def test_kill_fails_where_nobody_is_turned_off(path: Path) -> None:
    path.write_text('[flags.look]\nvariants = { dark = 1, dim = 2 }\ndefault = "dark"\n[flags.f]\noff = "on"\n')
    assert "everybody would get dark = 1, which is no off" in run("kill", "look", "--dry-run", code=1)
    assert "off=VARIANT" in run("kill", "look", code=1).replace("\n", " ")
    assert FlagSet.load(path)["look"].killed, "what can be done is done"
    run("kill", "f", code=1)


def test_explain_says_why(path: Path) -> None:
    first, second = told("explain", "ann", "--with", "country=DE")
    assert (first["value"], first["because"]) == (True, "ann is on the allow-list of on")
    assert (second["value"], second["reason"]) == ("d", "TARGETING_MATCH")
    assert second["because"].endswith("answers 'dark'")
    first, second = told("explain", "bob")
    assert first["because"] == "bucket 24,698 of 100,000 under new-checkout; shares in turn: on 20,000"
    assert second["because"] == "new-checkout must be on first, and is off"
    assert "because" in run("explain", "bob")


def test_explain_fails_for_what_cannot_be_told(path: Path) -> None:
    run("set", "theme", "targeting=country > 5 ? 'dark' : ''", "requires=")
    (row,) = told("explain", "bob", "--with", "country=DE", "--flag", "theme", code=1)
    assert row["reason"] == "ERROR"
    (row,) = told("explain", "bob", "--flag", "theme")
    assert row["because"] == "targeting speaks for nobody of whom it is not known: country"


def test_a_database_knows_who_changed_what(path: Path, tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path}/flags.db"
    run("set", "search", "--new", "rollout=5", "--who", "ann", "--source", address)
    run("kill", "search", "--who", "bob", "--source", address)
    history = told("show", "search", "--source", address)["history"]
    assert [(each["who"], each["before"], each["after"]) for each in history] == [
        ("ann", None, {"rollout": 5}),
        ("bob", {"rollout": 5}, {"rollout": 5, "killed": True}),
    ]
    assert "bob" in run("show", "search", "--source", address)
    assert len(FlagTable(address).history()) == 2


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("list", "--source", "flags"), "flags is no place for flags; give --source"),
        (("list", "--source", "none.toml"), "none.toml cannot be read"),
        (("list", "--source", "http://127.0.0.1:1/x"), "does not answer"),
        (("kill", "x", "--source", "http://127.0.0.1:1/x"), "can only be read"),
        (("list", "--source", "sqlite:///none.db"), "no such table"),
    ],
)
def test_what_cannot_be_looked_at_says_what_to_do(path: Path, words: tuple[str, ...], reason: str) -> None:
    assert reason in run(*words, code=2).replace("\n", " ")


def test_without_a_source_the_command_asks_for_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "flags.source is not set; give --source" in run("list", code=2)


@pytest.fixture
def old(monkeypatch: pytest.MonkeyPatch) -> BooleanFlag:
    """A flag in the code of a system, whose last day is long over."""
    from datetime import date

    module = ModuleType("with_flags")
    vars(module)["system"] = System("with-flags", Module("single"))
    monkeypatch.setitem(sys.modules, "with_flags", module)
    return BooleanFlag("old", default=False, owner="single", expires=date(2001, 2, 3))


def test_check_lists_flags_that_have_expired_in_code_and_file(path: Path, old: BooleanFlag) -> None:
    result = runner.invoke(application, ["check", "with_flags:system", "--json"])
    assert result.exit_code == 0, result.output
    expired = json.loads(result.output)["expired_flags"]
    assert f"{old.place} of single has expired on 2001-02-03; take it out of the code" in expired
    assert expired[-1] == "flag new-checkout (flags.toml) of orders has expired on 2001-02-03; take it out there too"
    assert "has expired on 2001-02-03" in runner.invoke(application, ["check", "with_flags:system"]).output


def test_check_reports_a_bad_file_and_declarations_that_contradict(path: Path, old: BooleanFlag) -> None:
    path.write_text("[flags.f]\nrollout = 120\n")
    other = BooleanFlag("old", default=True)
    result = runner.invoke(application, ["check", "with_flags:system", "--json"])
    assert result.exit_code == 1
    contradiction, bad = json.loads(result.output)["problems"]
    assert str(other.place) in contradiction
    assert bad == "flags.toml: f: rollout: 120 % is not between 0 and 100"


def test_check_notes_flags_that_the_source_lacks_and_refuses_those_of_another_type(
    path: Path, old: BooleanFlag
) -> None:
    misspelt = BooleanFlag("new-chekout", default=False)
    mistaken = StringFlag("new-checkout", default="x")
    result = runner.invoke(application, ["check", "with_flags:system", "--json"])
    assert result.exit_code == 1
    found = json.loads(result.output)
    (note,) = [each for each in found["not_checked"] if each.startswith(str(misspelt.place))]
    assert "flags.toml has no such flag" in note
    assert "did you mean new-checkout?" in note
    assert f"{mistaken.place} is a string, but not in flags.toml: on, off" in found["problems"]


def test_a_dry_run_leaves_no_trace(path: Path) -> None:
    before = sorted(path.parent.rglob("*"))
    run("set", "f", "--new", "--dry-run", "--source", "none/none.toml")
    run("kill", "theme", "--dry-run")
    assert sorted(path.parent.rglob("*")) == before


def test_what_was_done_is_said_in_words(path: Path) -> None:
    assert "is now written: killed = true" in run("kill", "theme")
    assert "is now written: killed is not there" in run("kill", "theme", "--undo")
    assert "nothing changes: killed is not there already" in run("kill", "theme", "--undo")
    assert "say what to change, like rollout.on=20" in run("set", "theme", code=2)
    assert "like country=DE" in run("explain", "ann", "--with", "country", code=2)
    assert "insula flags set nobodys --new writes one" in run("kill", "nobodys", code=1).replace("\n", " ")
    assert "in [flags] of insula.toml" in " ".join(run("list", "--help").replace("│", "").split())


@pytest.mark.parametrize("words", [("set", "f", "owner=x"), ("kill", "f")])
def test_a_file_that_is_not_there_is_named_with_what_makes_it(path: Path, words: tuple[str, ...]) -> None:
    for source in ("none.toml", "none/none.toml"):
        told = run(*words, "--source", source, code=2).replace("\n", " ")
        assert f"{source} is not there; insula flags set f --new writes it" in told
    assert [each.name for each in path.parent.iterdir() if each.name.startswith("none")] == []


def test_a_change_beside_what_is_no_flag_says_that_the_file_is_in_use_nowhere(path: Path) -> None:
    path.write_text(FILE + "[flags.bad]\nrollout = 120\n")
    assert "flags.toml is in use nowhere as it is" in run("kill", "theme", code=1)


def test_a_key_is_not_empty(path: Path) -> None:
    assert "a key is empty" in run("set", "", "--new", code=1)
    assert path.read_text() == FILE


def test_check_notes_flags_that_it_cannot_reach(path: Path, old: BooleanFlag) -> None:
    path.unlink()
    result = runner.invoke(application, ["check", "with_flags:system", "--json"])
    assert (result.exit_code, json.loads(result.output)["not_checked"][-1]) == (
        0, "flags.toml cannot be read: No such file or directory",
    )  # fmt: skip
