"""Named rules from a file: checked as a whole, renewed as a whole, and never worse than before."""

from __future__ import annotations

import logging
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from insula.rules import Rule, RuleError, RuleFile, RuleSet
from insula.testing.clock import VirtualClock

DECLINES = """
version = "2030-01"
[rules]
too-large = "payment.amount > 1000"
[rules.blocked]
when = 'payment.country in ["XX", "YY"]'
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "declines.toml"
    file.write_text(DECLINES)
    return file


def test_rules_are_read_from_a_file_and_answered_together(path: Path) -> None:
    rules = RuleSet.load(path)
    assert (list(rules), rules.version) == (["too-large", "blocked"], "2030-01")
    decision = rules.decide(payment={"amount": 2000, "country": "XX"})
    assert decision.matching == ("too-large", "blocked")
    assert rules["blocked"].evaluate(payment={"country": "ZZ"}) is False


def test_a_rule_without_an_answer_keeps_no_other_from_its(path: Path) -> None:
    decision = RuleSet.load(path).decide(payment={"amount": 2000})
    assert decision.matching == ("too-large",)
    assert decision.errors == {"blocked": "there is no field country"}


def test_a_decision_can_be_kept(path: Path) -> None:
    decision = RuleSet.load(path).decide(payment={"amount": 2000})
    assert msgspec.json.decode(msgspec.json.encode(decision)) == {
        "version": "2030-01", "answers": {"too-large": True}, "errors": {"blocked": "there is no field country"},
    }  # fmt: skip


def test_json_is_read_too(tmp_path: Path) -> None:
    file = tmp_path / "rules.json"
    file.write_text('{"rules": {"always": "true"}}')
    assert RuleSet.load(file).decide().matching == ("always",)


def test_without_a_version_the_content_is_one() -> None:
    first, again, other = RuleSet({"a": "true"}), RuleSet({"a": "true"}), RuleSet({"a": "false"})
    assert first.version == again.version != other.version


def test_every_rule_that_is_none_is_told_at_once() -> None:
    with pytest.raises(RuleError) as refusal:
        RuleSet({"good": "true", "one": "a +", "two": "f()"})
    told = str(refusal.value)
    assert "one: line 1, column 4: expected a value" in told
    assert "two: there is no function f" in told
    assert "good" not in told


def test_a_name_that_is_not_there_finds_the_nearest(path: Path) -> None:
    with pytest.raises(RuleError, match="there is no rule too-larg; did you mean too-large"):
        _ = RuleSet.load(path)["too-larg"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("rules = 5", r"has no table \[rules\]"),
        ("[rules]\na = 5", "a is neither a text nor a table with when"),
        ("[rules", "is no TOML"),
        ("[rules]\na = 'b +'", "a: line 1, column 4"),
    ],
)
def test_a_bad_file_is_refused_with_its_name(path: Path, content: str, told: str) -> None:
    path.write_text(content)
    with pytest.raises(RuleError, match=rf"declines.toml.*{told}"):
        RuleSet.load(path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RuleError, match=r"nothing.toml cannot be read: No such file"):
        RuleFile(tmp_path / "nothing.toml")


def test_a_changed_file_is_noticed_after_a_while(path: Path) -> None:
    clock = VirtualClock()
    file = RuleFile(path, check_seconds=5, clock=clock)
    path.write_text(DECLINES.replace("2030-01", "2030-02"))
    assert file.rules.version == "2030-01"
    clock.advance(5)
    assert file.rules.version == "2030-02"


def test_a_bad_file_leaves_the_last_good_one_in_use_and_says_why_once(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = RuleFile(path, check_seconds=0)
    good = file.rules
    path.write_text("[rules]\nblocked = 'payment.country =='")
    with caplog.at_level(logging.ERROR):
        assert [file.rules is good for _ in range(3)] == [True] * 3
    assert "blocked: line 1, column 19" in file.trouble
    assert len(caplog.records) == 1
    assert "version 2030-01 stays in use" in caplog.text
    path.write_text(DECLINES.replace("2030-01", "2030-03"))
    assert file.rules.version == "2030-03"
    assert file.trouble == ""


def test_a_file_that_is_gone_leaves_the_last_good_one_in_use(path: Path) -> None:
    file = RuleFile(path, check_seconds=0)
    path.unlink()
    assert file.rules.version == "2030-01"
    assert "cannot be read" in file.trouble
    path.write_text(DECLINES)
    assert file.rules.version == "2030-01"
    assert file.trouble == ""


def test_what_was_taken_stays_as_it_is_while_a_newer_set_comes_in(path: Path) -> None:
    file = RuleFile(path, check_seconds=0)
    taken = file.rules
    path.write_text("[rules]\nother = 'true'")
    assert list(file.rules) == ["other"]
    assert list(taken) == ["too-large", "blocked"]


def test_bad_parameters_are_refused(path: Path) -> None:
    for seconds in (-1.0, float("nan")):
        with pytest.raises(RuleError, match="RuleFile\\(check_seconds="):
            RuleFile(path, check_seconds=seconds)


@pytest.mark.parametrize("content", ["x = " + "[" * 50_000, "x = " + "9" * 5000, "[" * 50_000, "\udc80"])
def test_whatever_is_in_a_file_the_last_good_one_stays(path: Path, content: str) -> None:
    file = RuleFile(path, check_seconds=0)
    path.write_text(content, errors="surrogateescape")
    assert file.rules.version == "2030-01"
    assert "is no TOML" in file.trouble
    nested = path.with_suffix(".json")
    nested.write_text('{"rules": ' + "[" * 50_000)
    with pytest.raises(RuleError, match="is no JSON"):
        RuleSet.load(nested)


def test_threads_share_a_file_that_changes(path: Path) -> None:
    file = RuleFile(path, check_seconds=0)
    versions = [f"2030-{number:02}" for number in range(2, 13)]

    def decide(number: int) -> tuple[str, tuple[str, ...]]:
        if number % 50 == 0:
            changed = path.with_suffix(f".new{number}")
            changed.write_text(DECLINES.replace("2030-01", versions[number // 50]))
            changed.replace(path)
        decision = file.rules.decide(payment={"amount": 2000, "country": "XX"})
        return decision.version, decision.matching

    with ThreadPoolExecutor(8) as threads:
        decisions = list(threads.map(decide, range(500)))
    assert {matching for _, matching in decisions} == {("too-large", "blocked")}
    assert {version for version, _ in decisions} <= {"2030-01", *versions}
    assert file.rules.version == tomllib.loads(path.read_text())["version"]
    assert file.trouble == ""


def test_threads_share_a_rule() -> None:
    rule = Rule.parse("a.map(x, a.filter(y, y < x).size()).filter(z, z > n).size() == size(a) - n - 1")

    def answer(n: int) -> bool:
        return bool(rule.evaluate(a=list(range(30)), n=n % 20))

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(answer, range(300)))


def test_what_the_rules_may_look_at_is_checked_when_they_are_read(path: Path) -> None:
    payment = {"payment": {"amount": int, "country": str}}
    file = RuleFile(path, check_seconds=0, about=payment)
    assert RuleSet.load(path, about=payment).version == file.rules.version
    path.write_text(DECLINES.replace("payment.amount", "payment.amuont"))
    assert file.rules.decide(payment={"amount": 2000, "country": "AT"}).matching == ("too-large",)
    assert "too-large: line 1, column 1: it has no field amuont; did you mean amount?" in file.trouble
