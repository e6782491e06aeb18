"""The type of a function survives its policies: mypy accepts and refuses the cases, line by line."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CASES = Path(__file__).with_name("typing_cases.py")


def test_mypy_refuses_what_is_wrong_and_nothing_else() -> None:
    marked = {number for number, line in enumerate(CASES.read_text().splitlines(), 1) if "# refused: " in line}
    assert len(marked) == 22
    run = subprocess.run(
        [sys.executable, "-m", "mypy", "--no-error-summary", str(CASES)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    refused = {int(found[1]) for found in re.finditer(r"^.+?:(\d+): error:", run.stdout, re.MULTILINE)}
    assert refused == marked, run.stdout + run.stderr
