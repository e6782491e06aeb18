"""`insula check` sees an import that goes past another module's contract."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from insula.boundaries import CheckUnavailable, crossings, territories
from insula.cli.main import application
from insula.modules import Module, System

FILES = {
    "__init__.py": "",
    "system.py": "from insula import System\nfrom {name}.one.module import one\nfrom {name}.two.module import two\n"
    "system = System('planted', one, two)\n",
    "one/__init__.py": "",
    "one/contract.py": "from insula import Query\n\nclass Count(Query[int]): ...\n",
    "one/module.py": "from insula import Module\n\none = Module('one', slices='{name}.one')\n",
    "one/count.py": "from {name}.one.contract import Count\nfrom {name}.one.module import one\n\n"
    "@one.handle(Count)\nasync def count(query: Count) -> int:\n    return 1\n",
    "two/__init__.py": "",
    "two/contract.py": "",
    "two/module.py": "from insula import Module\n\ntwo = Module('two', slices='{name}.two')\n",
    "two/honest.py": "from {name}.one.contract import Count\n",
}


def planted(folder: Path, name: str, **more: str) -> str:
    """A system of two modules in a package of its own; `more` adds to or replaces its files."""
    for path, text in {**FILES, **{f"{key}.py": text for key, text in more.items()}}.items():
        file = folder / name / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.replace("{name}", name))
    return f"{name}.system:system"


def check(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(application, ["check", *arguments])
    return result.exit_code, result.stdout, result.stderr


def test_modules_that_meet_at_contracts_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, output, _ = check(planted(tmp_path, "planted_sound"))
    assert (code, "No problems" in output) == (0, True)


def test_an_import_past_the_contract_is_named_with_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    prying = {"two/prying": '"""Reads a neighbour\'s insides."""\n\nfrom {name}.one.module import one\n'}
    target = planted(tmp_path, "planted_prying", **prying)
    code, _, errors = check(target)
    assert code == 1
    assert "planted_prying.two.prying:3 imports planted_prying.one.module" in errors
    assert "planted_prying.one.contract" in errors
    code, output, _ = check(target, "--json")
    assert (code, len(json.loads(output)["problems"])) == (1, 1)


def test_an_import_inside_a_function_or_for_types_counts_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    hidden = {
        "two/late": "def late() -> None:\n    from {name}.one import count\n",
        "two/typed": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from {name}.one.module import one\n",
    }
    code, _, errors = check(planted(tmp_path, "planted_hidden", **hidden))
    assert (code, errors.count("which is inside module one")) == (1, 2)


def test_without_grimp_the_check_says_that_it_did_not_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "grimp", None)
    system = System("s", Module("one", slices="shop.orders"), Module("two", slices="shop.billing"))
    with pytest.raises(CheckUnavailable, match=r"insula\[check\]"):
        crossings(territories(system))


def test_modules_of_one_file_have_no_imports_to_check() -> None:
    assert crossings(territories(System("s", Module("one"), Module("two")))) == ()
