"""A process of `insula up` ends with it, also when it does not listen to signals."""

from __future__ import annotations

import os
import subprocess
import sys

from support.processes import environment_of

PROCESS = """
import signal, sys, threading
from insula.cli.running import end_with
if "deaf" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
threading.Thread(target=end_with, args=(int(sys.argv[1]), 0.1), daemon=True).start()
print("ready", flush=True)
threading.Event().wait(60)
"""


def ended_with_its_lifeline(*arguments: str) -> int:
    """How a process ends once nobody holds the other end of its pipe any more."""
    lifeline, end = os.pipe()
    with subprocess.Popen(
        [sys.executable, "-c", PROCESS, str(lifeline), *arguments], pass_fds=(lifeline,), stdout=subprocess.PIPE,
        env=environment_of({}),
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        os.close(end)
        os.close(lifeline)
        try:
            return process.wait(20)
        finally:
            process.kill()


def test_a_process_drains_when_its_supervisor_has_ended() -> None:
    assert ended_with_its_lifeline() == -15


def test_one_that_does_not_drain_in_time_ends_all_the_same() -> None:
    assert ended_with_its_lifeline("deaf") == -9
