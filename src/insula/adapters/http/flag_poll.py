"""Flags from a file behind a URL, asked for again and again. Implements `FlagSource`."""

from __future__ import annotations

import re
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import SplitResult, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from insula.adapters.http.deadline import Deadline, TimedHttp, TimedHttps
from insula.flags.errors import FlagsRefused, FlagsUnavailable
from insula.flags.flagset import MOST_BYTES
from insula.flags.sources import Content
from insula.kernel.errors import ConfigurationError

_SECONDS = 10.0
_NOT_MODIFIED = 304
_NO_LETTER = re.compile(r"[^\x21-\x7e]")
_MEANT_FOR_GOOD = frozenset((301, 302, 303, 307, 308, 400, 401, 403, 404, 405, 406, 410))


class _NoRedirects(HTTPRedirectHandler):
    """A redirect would take our token to whoever it names."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        return None


class HttpFlags:
    """A file of flags, JSON or TOML, behind a URL. It is asked for with its ETag, so that the same is sent but once.

    Parameters: `url`, without a user or password; `token_file`, whose one line is sent as bearer token, read again each
    time; `timeout_seconds` within which the whole of an answer must have come (default 10).
    Raises ConfigurationError for what is no URL of HTTP.
    """

    waits = True

    def __init__(self, url: str, *, token_file: Path | None = None, timeout_seconds: float = _SECONDS) -> None:
        parts = _checked(url)
        self._url = url
        self._toml = parts.path.endswith(".toml")
        self.name = parts._replace(query="", fragment="").geturl()
        self._token_file = token_file
        self._timeout_seconds = timeout_seconds

    def read(self, known: Content | None = None) -> Content | None:
        """What is there; None where it is what is known. Raises `FlagsUnavailable`, and `FlagsRefused` for most 4xx."""
        request = Request(self._url, headers=self._headers(known.tag if known is not None else ""))  # noqa: S310 - of http or https, as was checked
        with Deadline(self._timeout_seconds) as deadline:
            try:
                return self._answer(request, deadline)
            except HTTPError as error:
                error.close()
                if error.code == _NOT_MODIFIED and known is not None and known.tag:
                    return None
                kind = FlagsRefused if error.code in _MEANT_FOR_GOOD else FlagsUnavailable
                raise kind(f"{self.name} answers {error.code} {error.reason}") from None
            except (OSError, HTTPException, ValueError) as error:
                why = deadline.passed or _harmless(error)
                raise FlagsUnavailable(f"{self.name} does not answer: {why}") from None

    def _answer(self, request: Request, deadline: Deadline) -> Content:
        opener = build_opener(_NoRedirects, TimedHttp(deadline), TimedHttps(deadline))
        with opener.open(request, timeout=self._timeout_seconds) as answer:
            text: bytes = answer.read(MOST_BYTES + 1)
            tag, kind = answer.headers.get("ETag", ""), answer.headers.get_content_type()
        if deadline.passed:  # an answer of no certain length would only seem to have ended
            raise TimeoutError
        if len(text) > MOST_BYTES:
            raise FlagsUnavailable(f"{self.name} sends more than {MOST_BYTES // 1024**2} MiB")
        return Content(text, toml=self._toml or "toml" in kind, tag=tag)

    def _headers(self, tag: str) -> dict[str, Any]:
        headers = {"Accept": "application/json, application/toml"}
        if tag:
            headers["If-None-Match"] = tag
        if self._token_file is not None:
            headers["Authorization"] = f"Bearer {self._token(self._token_file)}"
        return headers

    def _token(self, file: Path) -> str:
        try:
            token = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no UTF-8"
            raise FlagsUnavailable(f"{file} cannot be read: {why}") from None
        if not token or _NO_LETTER.search(token):
            raise FlagsUnavailable(f"{file} holds no token: write one line of letters without blanks")
        return token


def _checked(url: str) -> SplitResult:
    """The parts of a URL. Raises ConfigurationError that shows none of it: there may be secrets wherever we look."""
    try:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.port == 0 or _NO_LETTER.search(url):
            raise ValueError
    except ValueError:
        what = "the URL of flags is none; write it like https://flags.example.org/shop.json"
        raise ConfigurationError(what) from None
    if "@" in parts.netloc:
        raise ConfigurationError(
            f"the URL of flags at {parts.hostname} has a user or password in it; write a bearer token into a file "
            "instead, and name that as token_file"
        )
    return parts


def _harmless(error: Exception) -> object:
    """What went wrong, without what was sent: it may be secret."""
    if isinstance(error, URLError):
        return error.reason
    return error if isinstance(error, OSError) else type(error).__name__
