"""ruff refuses clocks and chance outside the kernel, also where a module import alone would be innocent."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def complaints(source: str, place: str) -> str:
    """What ruff, as this project configures it, says about the source at that place."""
    ruff = str(Path(sys.executable).with_name("ruff"))
    command = [ruff, "check", "--no-cache", "--stdin-filename", str(ROOT / place), "-"]
    return subprocess.run(command, cwd=ROOT, input=source, capture_output=True, text=True, check=False).stdout


@pytest.mark.parametrize(
    "source",
    [
        "from datetime import UTC, datetime\n\nNOW = datetime.now(UTC)\n",
        "from datetime import datetime\n\nNOW = datetime.utcnow()\n",
        "from datetime import date\n\nTODAY = date.today()\n",
        "from uuid import uuid4\n\nNEW = uuid4()\n",
        "import uuid\n\nNEW = uuid.uuid5(uuid.NAMESPACE_URL, 'a')\n",
        "import time\n\nSTART = time.monotonic()\n",
        "from time import sleep\n\nsleep(1)\n",
        "import random\n\nCHANCE = random.random()\n",
        "import secrets\n\nTOKEN = secrets.token_hex()\n",
    ],
)
def test_clocks_and_chance_are_refused(source: str) -> None:
    assert "TID251" in complaints(source, "src/insula/messages/planted.py")


@pytest.mark.parametrize(
    ("source", "place"),
    [
        ("import time\n\nSTART = time.monotonic()\n", "src/insula/kernel/clock.py"),
        ("import random\n\nCHANCE = random.random()\n", "src/insula/kernel/randomness.py"),
        ("from uuid import UUID\n\nFIELD_TYPE = UUID\n", "src/insula/messages/planted.py"),
    ],
)
def test_the_kernel_may_and_the_type_of_a_uuid_is_innocent(source: str, place: str) -> None:
    assert "TID251" not in complaints(source, place)
