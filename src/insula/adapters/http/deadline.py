"""A time within which a whole exchange of HTTP must be over, however slowly each byte of it comes."""

from __future__ import annotations

import contextlib
import socket
import threading
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from types import TracebackType
from typing import Any, Self
from urllib.request import HTTPHandler, HTTPSHandler, Request


class Deadline:
    """Hangs up on whoever talks for longer. Parameters: `seconds` from the beginning of the `with` block."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._sockets: list[socket.socket] = []
        self._timer = threading.Timer(seconds, self._hang_up)
        self._timer.daemon = True
        self.passed = ""
        """Empty before the time is over, then what to say of it."""

    def watch(self, connected: socket.socket) -> None:
        """Hang up on this one too. Raises TimeoutError where the time is over."""
        if self.passed:
            raise TimeoutError
        self._sockets.append(connected.dup())  # TLS takes the socket itself apart

    def _hang_up(self) -> None:
        self.passed = f"not all of it came within {self._seconds:g} s"
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._timer.cancel()
        for each in self._sockets:
            each.close()


class _Watched(HTTPConnection):
    """A connection under a deadline, from the moment that it stands, before anything is said."""

    deadline: Deadline

    def connect(self) -> None:
        super().connect()
        self.deadline.watch(self.sock)


class _WatchedSecurely(HTTPSConnection, _Watched):  # in this order: what is watched is the socket below TLS
    """The same with TLS, whose handshake comes after."""


class TimedHttp(HTTPHandler):
    """Connections of HTTP under a deadline."""

    def __init__(self, deadline: Deadline) -> None:
        super().__init__()
        self._kind: Any = type("Connection", (_Watched,), {"deadline": deadline})

    def http_open(self, req: Request) -> HTTPResponse:
        """As `HTTPHandler` does."""
        return self.do_open(self._kind, req)


class TimedHttps(HTTPSHandler):
    """Connections of HTTPS under a deadline."""

    def __init__(self, deadline: Deadline) -> None:
        super().__init__()
        self._kind: Any = type("Connection", (_WatchedSecurely,), {"deadline": deadline})

    def https_open(self, req: Request) -> HTTPResponse:
        """As `HTTPSHandler` does."""
        return self.do_open(self._kind, req)
