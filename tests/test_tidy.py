"""Style is a test: small files, small functions, telling names, documented public code, nothing left undone."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = ("src", "examples", "benchmarks", "tests")
LINES_PER_FILE = 400
LINES_PER_FUNCTION = 70
EMPTY_NAMES = {"utils", "util", "helpers", "helper", "manager", "managers", "base", "common", "misc", "stuff", "tools"}
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
# Texts of this kind come from a machine or a process that no reader has.
PRIVATE = re.compile(r"(?<![\w.])/(work|tmp|home|root|opt)/|--(extra-)?index-url|https?://\S+\.(whl|tar\.gz)")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def python_files(*folders: str) -> list[Path]:
    """Every Python file of those folders, in a stable order."""
    return sorted(file for folder in folders for file in (ROOT / folder).rglob("*.py"))


def shown(file: Path, line: int = 1) -> str:
    """Where it is, as an editor opens it."""
    return f"{file.relative_to(ROOT)}:{line}"


def functions(file: Path) -> Iterator[Function]:
    """Every function and method of the file."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, Function):
            yield node


def undocumented(file: Path) -> Iterator[tuple[str, str]]:
    """Public classes and functions of the file that have no docstring."""
    for node in ast.parse(file.read_text()).body:
        if not isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        if node.name.startswith("_") or ast.get_docstring(node):
            continue
        if "overload" not in {ast.unparse(decorator).rsplit(".", 1)[-1] for decorator in node.decorator_list}:
            yield shown(file, node.lineno), node.name


def test_no_file_is_longer_than_400_lines() -> None:
    long = {shown(file): count for file in python_files(*FOLDERS) if (count := line_count(file)) > LINES_PER_FILE}
    assert long == {}


def test_no_function_is_longer_than_70_lines() -> None:
    long = {
        shown(file, function.lineno): function.name
        for file in python_files(*FOLDERS)
        for function in functions(file)
        if (function.end_lineno or 0) - function.lineno + 1 > LINES_PER_FUNCTION
    }
    assert long == {}


def test_no_file_or_folder_has_a_name_that_says_nothing() -> None:
    empty = {
        shown(file)
        for file in python_files(*FOLDERS)
        if EMPTY_NAMES & {part.removesuffix(".py").strip("_") for part in file.relative_to(ROOT).parts}
    }
    assert empty == set()


def test_everything_public_is_documented() -> None:
    missing = {place: name for file in python_files("src") for place, name in undocumented(file)}
    assert missing == {}


def test_every_source_file_says_what_it_is_for() -> None:
    trees = {file: ast.parse(file.read_text()) for file in python_files("src")}
    assert [shown(file) for file, tree in trees.items() if tree.body and not ast.get_docstring(tree)] == []


def test_nothing_is_left_undone() -> None:
    assert lines_matching(UNFINISHED, [file for file in python_files(*FOLDERS) if file != Path(__file__)]) == {}


def test_no_test_sleeps() -> None:
    sleeping = re.compile(r"\btime\.sleep\(|asyncio\.sleep\((?!0(\.00\d*)?\))|from time import.*\bsleep\b")
    assert lines_matching(sleeping, [file for file in python_files("tests") if "boundaries" not in file.parts]) == {}


def test_no_text_names_a_machine() -> None:
    texts = [file for pattern in ("*.md", "*.toml", "*.txt", "Makefile", ".ci/run") for file in ROOT.glob(pattern)]
    texts += sorted((ROOT / "docs").rglob("*.md")) + python_files("src", "examples", "benchmarks")
    assert lines_matching(PRIVATE, texts) == {}


def line_count(file: Path) -> int:
    """How many lines the file has."""
    return len(file.read_text().splitlines())


def lines_matching(pattern: re.Pattern[str], files: list[Path]) -> dict[str, str]:
    """Each place that matches, with its line."""
    return {
        shown(file, number): line.strip()
        for file in files
        for number, line in enumerate(file.read_text().splitlines(), start=1)
        if pattern.search(line)
    }
