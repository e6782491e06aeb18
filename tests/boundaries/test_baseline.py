"""Code that grew without boundaries: what is there is listed, new crossings fail, and the list only grows shorter."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from insula.boundaries import Crossing, read_baseline, write_baseline
from insula.cli.main import application
from insula.kernel.errors import ConfigurationError

CONFIGURATION = """\
[boundaries.modules]
sales = "{name}.sales"
stock = {{ package = "{name}.stock", contract = "{name}.stock.api" }}
"""


def check(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(application, ["check", *arguments])
    return result.exit_code, result.stdout, result.stderr


def grown(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> Path:
    """A package of two modules, one of which knows the other's insides, and no System."""
    files = {
        "__init__.py": "", "sales/__init__.py": "", "stock/__init__.py": "",
        "stock/api.py": "def count() -> int:\n    return 1\n",
        "stock/shelves.py": "SHELVES = 3\n",
        "sales/old.py": f"from {name}.stock.shelves import SHELVES\nfrom {name}.stock.api import count\n",
    }  # fmt: skip
    for path, text in files.items():
        file = folder / name / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (folder / "insula.toml").write_text(CONFIGURATION.format(name=name))
    monkeypatch.chdir(folder)
    return folder / name


def test_code_without_a_system_is_checked_for_its_imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grown(tmp_path, monkeypatch, "grown_plain")
    code, _, errors = check()
    assert code == 1
    assert "grown_plain.sales.old:1 imports grown_plain.stock.shelves" in errors
    assert "import grown_plain.stock.api" in errors


def test_what_is_listed_passes_also_when_its_line_moves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = grown(tmp_path, monkeypatch, "grown_listed")
    code, _, notes = check("--update-baseline")
    assert (code, "boundaries.txt lists 1 import past" in notes) == (0, True)
    old = package / "sales" / "old.py"
    old.write_text("\n\n" + old.read_text())
    code, output, _ = check("--baseline")
    assert (code, "1 known import past contracts" in output) == (0, True)


def test_a_new_crossing_fails_and_only_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = grown(tmp_path, monkeypatch, "grown_worse")
    check("--update-baseline")
    (package / "sales" / "new.py").write_text("from grown_worse.stock import shelves\n")
    code, output, _ = check("--baseline", "--json")
    assert code == 1
    (problem,) = json.loads(output)["problems"]
    assert problem.startswith("grown_worse.sales.new:1 imports grown_worse.stock.shelves")


def test_what_was_mended_has_to_leave_the_list_or_it_could_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = grown(tmp_path, monkeypatch, "grown_better")
    check("--update-baseline")
    (package / "sales" / "old.py").write_text("from grown_better.stock.api import count\n")
    code, _, errors = check("--baseline")
    assert (code, "grown_better.sales.old -> grown_better.stock.shelves is there no more" in errors) == (1, True)
    check("--update-baseline")
    assert check("--baseline")[0] == 0


def test_a_list_that_is_not_there_or_not_one_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no such file; --update-baseline writes it"):
        read_baseline(tmp_path / "boundaries.txt")
    (tmp_path / "boundaries.txt").write_text("# known\n\nshop.sales\n")
    with pytest.raises(ConfigurationError, match=r"boundaries\.txt:3: 'shop\.sales'; write a line as"):
        read_baseline(tmp_path / "boundaries.txt")


def test_a_list_reads_back_as_it_was_written(tmp_path: Path) -> None:
    found = [Crossing("a.b", line, "c.d", "c", "c.contract") for line in (3, 9)]
    assert write_baseline(tmp_path / "list", found) == 1
    assert read_baseline(tmp_path / "list") == {("a.b", "c.d")}


def test_a_package_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grown(tmp_path, monkeypatch, "grown_missing")
    file = tmp_path / "insula.toml"
    file.write_text(file.read_text().replace("grown_missing.sales", "grown_missing.sails"))
    code, _, errors = check()
    assert (code, "the package of module sales, grown_missing.sails, is not there" in errors) == (2, True)


def test_a_key_that_is_not_known_is_named_with_the_nearest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "insula.toml").write_text('[boundaries.modules]\nsales = { pakage = "a" }\n')
    code, _, errors = check()
    assert (code, "pakage" in errors) == (2, True)
