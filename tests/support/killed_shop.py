"""The shop in a process that kills itself in the middle of an extraction: where KILL_AT says, once for each file there.

The places are the phases of an extraction, and "switching": the moment between the last commit and everything after;
"back holding" and so on are those of the way back.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from insula.runtime.extraction.progress import Progress
from insula.runtime.movable import MovableDatabase
from shop.system import shop

__all__ = ["shop"]

_AT = os.environ["KILL_AT"]
_FILE = Path(os.environ["KILL_FILE"])

_enter, _become = Progress.enter, MovableDatabase.become


def _kill(place: str) -> None:
    if place == _AT and _FILE.exists():
        _FILE.unlink()
        os.kill(os.getpid(), signal.SIGKILL)


_way = [""]


def _entering(progress: Progress, phase: Any) -> None:
    _way[0] = "back " if progress.back else ""
    _kill(f"{_way[0]}{phase}")
    _enter(progress, phase)


def _becoming(database: MovableDatabase, successor: Any) -> None:
    _kill(f"{_way[0]}switching")
    _become(database, successor)


Progress.enter = _entering  # type: ignore[method-assign]
MovableDatabase.become = _becoming  # type: ignore[method-assign]
