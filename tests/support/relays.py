"""`insula relay` as a process, and a service that it sends to: with an inbox, and effects that count."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread

from sqlalchemy import Engine, insert

from insula.messages import from_cloudevent
from support.outboxes import inbox, number_of, orders
from support.processes import ROOT, pause

ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join(str(ROOT / part) for part in ("src", "examples", "tests")),
    "INSULA_RELAY_LEASE_SECONDS": "1",
    "INSULA_RELAY_POLL_SECONDS": "0.05",
}


class Receiver:
    """Answers 204 once the effect of a message is committed, and counts what arrived.

    Parameters: `engine` of its own database; `refused`, the number of an order that it takes no message of.
    """

    def __init__(self, engine: Engine, refused: int | None = None) -> None:
        self.engine = engine
        self.refused = refused
        self.away = False
        self.arrived: list[int] = []
        self._one_writer = Lock()

    def take(self, body: bytes) -> int:
        """The status of the answer."""
        if self.away:
            return 503
        message = from_cloudevent(body)
        number = number_of(message)
        with self._one_writer, self.engine.begin() as connection:
            self.arrived.append(number)
            if number == self.refused:
                return 422
            if inbox.first_time(connection, consumer="orders", message_id=message.id):
                connection.execute(insert(orders).values(number=number, customer=message.subject))
        return 204


@contextmanager
def served(receiver: Receiver) -> Iterator[str]:
    """Its address, while it answers."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            status = receiver.take(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class RelayProcess:
    """Parameters: `engine` of the outbox; `to`, where its messages go."""

    def __init__(self, engine: Engine, to: str, output: Path) -> None:
        self._command = [sys.executable, "-m", "insula.cli", "relay", "support.outboxes:outbox", "--to", to]
        database = engine.url.render_as_string(hide_password=False)
        self._environment = {**ENVIRONMENT, "INSULA_RELAY_DATABASE": database}
        self._output = output
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Begin."""
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(
                self._command, cwd=ROOT / "tests", env=self._environment, stdout=output, stderr=output
            )

    @property
    def told(self) -> str:
        """What it has printed."""
        return self._output.read_text()

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)

    def stop(self) -> int:
        """SIGTERM, and wait; the exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(30)


@contextmanager
def relaying(engine: Engine, to: str, output: Path) -> Iterator[RelayProcess]:
    """A relay that runs for the length of a test."""
    relay = RelayProcess(engine, to, output)
    relay.start()
    try:
        yield relay
    finally:
        relay.kill()


def wait_until(condition: object, told: RelayProcess) -> None:
    """Until it holds, for twenty seconds at most."""
    assert callable(condition)
    for _ in range(2000):
        if condition():
            return
        pause(0.01)
    raise AssertionError(f"it did not come to pass; the relay said:\n{told.told[-3000:]}")
