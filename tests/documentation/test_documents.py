"""What the documents show is what the tests run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from insula.runtime.configuration import load
from insula.runtime.topology import planned
from shop.system import shop

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
TESTED = "".join(
    path.read_text(encoding="utf-8") for path in [*ROOT.glob("tests/**/*.py"), *ROOT.glob("examples/**/*.py")]
)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_python_snippet_stands_in_a_file_that_is_tested(document: Path) -> None:
    snippets = re.findall(r"```python\n(.*?)```", document.read_text(encoding="utf-8"), re.DOTALL)
    for snippet in snippets:
        assert snippet in TESTED, f"{document.name}: not in any tested file:\n{snippet}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_configuration_shown_is_one(document: Path, tmp_path: Path) -> None:
    for number, text in enumerate(re.findall(r"```toml\n(.*?)```", document.read_text(encoding="utf-8"), re.DOTALL)):
        file = tmp_path / f"{number}.toml"
        file.write_text(text)
        configuration = load(file, {})
        for name in configuration.topology:
            assert planned(shop, configuration, name).processes, f"{document.name}: {text}"


def test_the_topologies_of_the_shop_are_those_of_its_example() -> None:
    assert (ROOT / "examples" / "insula.toml").read_text().partition("\n")[2] in (
        ROOT / "docs/topologies.md"
    ).read_text()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_within_the_repository_leads_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", document.read_text(encoding="utf-8"))
    missing = [target for target in targets if "://" not in target and not (document.parent / target).exists()]
    assert missing == []


def test_the_smallest_system_fits_on_a_screen() -> None:
    assert len((ROOT / "examples" / "hello.py").read_text(encoding="utf-8").splitlines()) <= 40
