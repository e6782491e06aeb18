"""Flags from a file behind a URL, asked for again and again. Implements `FlagSource`."""

from __future__ import annotations

from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from insula.flags.errors import FlagsRefused, FlagsUnavailable
from insula.flags.flagset import MOST_BYTES
from insula.flags.sources import Content
from insula.kernel.errors import ConfigurationError

_SECONDS = 10.0
_NOT_MODIFIED = 304
_MEANT_FOR_GOOD = frozenset((301, 302, 303, 307, 308, 400, 401, 403, 404, 405, 406, 410))


class _NoRedirects(HTTPRedirectHandler):
    """A redirect would take our token to whoever it names."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        return None


class HttpFlags:
    """A file of flags, JSON or TOML, behind a URL. It is asked for with its ETag, so that the same is sent but once.

    Parameters: `url`; `token_file`, whose content is sent as bearer token, read again each time; `timeout_seconds` of
    each step of an answer (default 10).
    Raises ConfigurationError for what is no URL of HTTP.
    """

    waits = True

    def __init__(self, url: str, *, token_file: Path | None = None, timeout_seconds: float = _SECONDS) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ConfigurationError(f"{url}: write it like https://flags.example.org/shop.json")
        self._url = url
        self._toml = parts.path.endswith(".toml")
        self.name = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
        self._token_file = token_file
        self._timeout_seconds = timeout_seconds
        self._opener = build_opener(_NoRedirects)

    def read(self, known: Content | None = None) -> Content | None:
        """What is there; None where it is what is known. Raises `FlagsUnavailable`, and `FlagsRefused` for most 4xx."""
        request = Request(self._url, headers=self._headers(known.tag if known is not None else ""))  # noqa: S310 - of http or https, as was checked
        try:
            with self._opener.open(request, timeout=self._timeout_seconds) as answer:
                text: bytes = answer.read(MOST_BYTES + 1)
                tag, kind = answer.headers.get("ETag", ""), answer.headers.get_content_type()
        except HTTPError as error:
            error.close()
            if error.code == _NOT_MODIFIED and known is not None and known.tag:
                return None
            if error.code in _MEANT_FOR_GOOD:
                raise FlagsRefused(f"{self.name} answers {error.code} {error.reason}") from None
            raise FlagsUnavailable(f"{self.name} answers {error.code} {error.reason}") from None
        except (OSError, HTTPException, ValueError) as error:
            raise FlagsUnavailable(f"{self.name} does not answer: {getattr(error, 'reason', error)}") from None
        if len(text) > MOST_BYTES:
            raise FlagsUnavailable(f"{self.name} sends more than {MOST_BYTES // 1024**2} MiB")
        return Content(text, toml=self._toml or "toml" in kind, tag=tag)

    def _headers(self, tag: str) -> dict[str, Any]:
        headers = {"Accept": "application/json, application/toml"}
        if tag:
            headers["If-None-Match"] = tag
        if self._token_file is not None:
            try:
                headers["Authorization"] = f"Bearer {self._token_file.read_text(encoding='utf-8').strip()}"
            except (OSError, UnicodeDecodeError) as error:
                raise FlagsUnavailable(f"{self._token_file} cannot be read: {error}") from None
        return headers
