"""Handlers are tied to their messages for type checkers: mypy and pyright refuse what is wrong, line by line."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parents[2]
CASES = Path(__file__).with_name("typing_cases.py")
HELLO = ROOT / "examples" / "hello.py"
SCRIPTS = Path(sysconfig.get_path("scripts"))


def marked_lines() -> list[int]:
    """The lines of the cases that a checker must refuse."""
    lines = CASES.read_text().splitlines()
    return [number for number, line in enumerate(lines, 1) if "# refused: " in line]


def test_there_are_cases_to_refuse() -> None:
    assert len(marked_lines()) == 22


def test_mypy_refuses_what_is_wrong_and_nothing_else() -> None:
    # The project's own configuration and cache: in a full run this has been checked a moment ago.
    run = subprocess.run(
        [sys.executable, "-m", "mypy", "--no-error-summary", str(CASES), str(HELLO)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    refused = {
        (Path(found[1]).name, int(found[2])) for found in re.finditer(r"^(.+?):(\d+): error:", run.stdout, re.MULTILINE)
    }
    assert refused == {(CASES.name, line) for line in marked_lines()}, run.stdout + run.stderr


def test_pyright_refuses_what_is_wrong_and_nothing_else(tmp_path: Path) -> None:
    configuration = tmp_path / "pyrightconfig.json"
    configuration.write_text(
        json.dumps(
            {
                "include": [str(CASES), str(HELLO)],
                "extraPaths": [str(ROOT / "src")],
                "typeCheckingMode": "standard",
                "pythonVersion": "3.11",
            }
        )
    )
    # basedpyright is pyright in a wheel that brings its own Node.js and downloads nothing when it runs.
    program = next(path for name in ("basedpyright", "pyright") if (path := SCRIPTS / name).exists())
    run = subprocess.run(
        [program, "--outputjson", "--pythonpath", sys.executable, "--project", configuration],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    report = json.loads(run.stdout)
    assert report["summary"]["filesAnalyzed"] == 2
    refused = {
        (Path(found["file"]).name, found["range"]["start"]["line"] + 1)
        for found in report["generalDiagnostics"]
        if found["severity"] == "error"
    }
    assert refused == {(CASES.name, line) for line in marked_lines()}, run.stdout
