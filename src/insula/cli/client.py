"""Talks to the running processes of a directory, through their admin endpoints on loopback."""

from __future__ import annotations

import urllib.error
import urllib.request
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any

import msgspec

from insula.kernel.errors import ConfigurationError, InsulaError
from insula.runtime import presence
from insula.runtime.presence import Presence

_TIMEOUT_SECONDS = 10.0


class NotRunning(InsulaError):
    """No process runs on this directory."""


class NotServed(InsulaError):
    """A process does not know what was asked for."""


def processes(directory: Path) -> list[Presence]:
    """Every process that runs on this directory; raises `NotRunning` when none does."""
    found = presence.found(directory)
    if not found:
        where = directory.absolute()
        raise NotRunning(f"{where}: no process runs here; start one with `insula run`, or name another --directory")
    return found


def ask(
    process: Presence, method: str, path: str, body: Any = None, *, timeout_seconds: float = _TIMEOUT_SECONDS
) -> Any:
    """Send an admin request and return the decoded answer; raises `NotServed`, or InsulaError with the reason."""
    data = None if body is None else msgspec.json.encode(body)
    headers = {"authorization": f"Bearer {process.token}", "content-type": "application/json"}
    address = f"{process.url}{path}"  # always http on loopback: the process wrote it itself
    asked = urllib.request.Request(address, data, headers, method=method)  # noqa: S310
    try:
        with urllib.request.urlopen(asked, timeout=timeout_seconds) as answer:  # noqa: S310
            return msgspec.json.decode(answer.read())
    except urllib.error.HTTPError as error:
        if error.code == HTTPStatus.CONFLICT:  # it was understood, and the process says why not
            raise ConfigurationError(msgspec.json.decode(error.read())["detail"]) from None
        kind = NotServed if error.code == HTTPStatus.NOT_FOUND else InsulaError
        raise kind(f"{address}: {error.code} {error.read().decode(errors='replace')}") from None
    except OSError as error:
        raise InsulaError(f"{process.url}: process {process.pid} does not answer ({error})") from None


def ask_any(
    directory: Path, method: str, path: str, body: Any = None, *, timeout_seconds: float = _TIMEOUT_SECONDS
) -> Any:
    """What the process answers that knows what is asked for; raises `NotRunning`, and `NotServed` when none does."""
    *others, last = processes(directory)
    for process in others:
        with suppress(NotServed):
            return ask(process, method, path, body, timeout_seconds=timeout_seconds)
    return ask(last, method, path, body, timeout_seconds=timeout_seconds)


def ask_all(directory: Path, method: str, path: str, body: Any = None) -> list[Any]:
    """What each process answers that knows something of what is asked for; raises as `ask_any` does."""
    answers = []
    for process in processes(directory):
        with suppress(NotServed):
            answers.append(ask(process, method, path, body))
    if not answers:
        raise NotServed(f"{path}: no process that runs knows it")
    return answers
