"""A wire between a service and a server that a test may cut: at once, or so that everything on it is lost silently."""

from __future__ import annotations

import selectors
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_LOOK_SECONDS = 0.05
_CHUNK = 1 << 16


class Wire:
    """Passes bytes between whoever connects to `port` and the server. Parameters: `server`, its port on loopback."""

    def __init__(self, server: int) -> None:
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._passing = threading.Event()
        self._passing.set()
        self._ended = threading.Event()
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def hold(self) -> None:
        """Let nothing through any more, and tell nobody: a partition."""
        self._passing.clear()

    def mend(self) -> None:
        """Let everything through again; what was connected before the partition is gone."""
        self._cut = True
        self._passing.set()

    def close(self) -> None:
        """Hang up for good."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        self._cut = False
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            while not self._ended.is_set():
                if not self._passing.wait(_LOOK_SECONDS):
                    continue
                if self._cut:
                    self._cut = False
                    for each in list(self._pairs):
                        self._hang_up(selector, each)
                for key, _ in selector.select(_LOOK_SECONDS):
                    one = key.fileobj
                    assert isinstance(one, socket.socket)
                    if one is self._listener:
                        self._connect(selector)
                    elif one in self._pairs:
                        self._pass_on(selector, one)
            for each in list(self._pairs):
                self._hang_up(selector, each)
        self._listener.close()

    def _connect(self, selector: selectors.BaseSelector) -> None:
        client, _ = self._listener.accept()
        try:
            server = socket.create_connection(("127.0.0.1", self._server), timeout=5)
        except OSError:
            client.close()
            return
        for one, other in ((client, server), (server, client)):
            self._pairs[one] = other
            selector.register(one, selectors.EVENT_READ)

    def _pass_on(self, selector: selectors.BaseSelector, one: socket.socket) -> None:
        try:
            data = one.recv(_CHUNK)
            if data:
                self._pairs[one].sendall(data)
                return
        except OSError:
            pass
        self._hang_up(selector, one)

    def _hang_up(self, selector: selectors.BaseSelector, one: socket.socket) -> None:
        other = self._pairs.pop(one, None)
        if other is None:
            return
        self._pairs.pop(other, None)
        for each in (one, other):
            with suppress(KeyError, ValueError):
                selector.unregister(each)
            each.close()


@contextmanager
def wire(server: int) -> Iterator[Wire]:
    """A wire for the length of a test."""
    found = Wire(server)
    try:
        yield found
    finally:
        found.close()
