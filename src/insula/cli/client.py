"""Talks to the running process of a directory, through its admin endpoint on loopback."""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import msgspec

from insula.kernel.errors import InsulaError
from insula.runtime import presence

_TIMEOUT_SECONDS = 10


class NotRunning(InsulaError):
    """No process runs on this directory."""


def request(directory: Path, method: str, path: str, body: Any = None) -> Any:
    """Send an admin request and return the decoded answer; raises `NotRunning`, or InsulaError with the reason."""
    found = presence.read(directory)
    if found is None:
        where = directory.absolute()
        raise NotRunning(f"{where}: no process runs here; start one with `insula run`, or name another --directory")
    data = None if body is None else msgspec.json.encode(body)
    headers = {"authorization": f"Bearer {found.token}", "content-type": "application/json"}
    address = f"{found.url}{path}"  # always http on loopback: the process wrote it itself
    asked = urllib.request.Request(address, data, headers, method=method)  # noqa: S310
    try:
        with urllib.request.urlopen(asked, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310
            return msgspec.json.decode(answer.read())
    except urllib.error.HTTPError as error:
        raise InsulaError(f"{found.url}{path}: {error.code} {error.read().decode(errors='replace')}") from None
    except OSError as error:
        raise InsulaError(f"{found.url}: process {found.pid} does not answer ({error})") from None
