"""Ends a server when whoever has started it is gone, however that went: python -m …lifeline DESCRIPTOR PID SIGNAL."""

from __future__ import annotations

import os
import sys
from contextlib import suppress


def main(descriptor: int, pid: int, number: int) -> None:
    """Wait until the other end of the pipe is closed, then send the signal."""
    os.read(descriptor, 1)  # nothing is ever written
    with suppress(ProcessLookupError):
        os.kill(pid, number)


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:4]))
