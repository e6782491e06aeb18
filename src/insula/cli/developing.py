"""`insula dev`: a system in a process of its own, started again when a file changes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from insula.cli.options import Config, Directory, Host, Port, Target
from insula.cli.output import explained, say

_LOOK_MILLISECONDS = 500
_STOP_SECONDS = 12.0


@explained
def dev(
    target: Target = None, host: Host = None, port: Port = None, directory: Directory = None, config: Config = None
) -> None:
    """Run a system and start it again whenever a Python, TOML or SQL file below this folder changes.

    Example: insula dev hello:shop
    """
    from watchfiles import PythonFilter, watch  # only `dev` watches files

    arguments = [sys.executable, "-m", "insula.cli", "run"]
    arguments += [target] if target else []
    named = (("--host", host), ("--port", port), ("--directory", directory), ("--config", config))
    for option, value in named:
        arguments += [option, str(value)] if value is not None else []
    say("insula dev: starting again when a file changes; Ctrl-C ends it")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends like Ctrl-C: the system is stopped as well
    changes = watch(
        Path.cwd(), watch_filter=PythonFilter(extra_extensions=(".toml", ".sql")), rust_timeout=_LOOK_MILLISECONDS,
        yield_on_timeout=True, raise_interrupt=True,
    )  # fmt: skip
    with _child(arguments) as child:
        try:
            for changed in changes:
                if changed:
                    say("insula dev: a file has changed")
                    child.stop()
                    child.start()
                else:
                    child.report()
        except KeyboardInterrupt:
            return


class Child:
    """The process that runs the system. It ends with this one: it holds the other end of a pipe."""

    def __init__(self, arguments: list[str], lifeline: int) -> None:
        self._arguments = [*arguments, "--lifeline", str(lifeline)]
        self._lifeline = lifeline
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it."""
        self._process = subprocess.Popen(self._arguments, pass_fds=(self._lifeline,))  # noqa: S603 - our own command

    def report(self) -> None:
        """Say once that it has ended by itself."""
        if self._process is not None and self._process.poll() is not None:
            say(
                f"insula dev: the system has ended with exit code {self._process.returncode}; "
                "it starts again when a file changes",
                stderr=True,
            )
            self._process = None

    def stop(self) -> None:
        """Let it drain, but not for ever. SIGTERM, since Python answers SIGINT with a traceback while it starts."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def _child(arguments: list[str]) -> Iterator[Child]:
    lifeline, end = os.pipe()
    child = Child(arguments, lifeline)
    try:
        child.start()
        yield child
    finally:
        child.stop()
        os.close(lifeline)
        os.close(end)
