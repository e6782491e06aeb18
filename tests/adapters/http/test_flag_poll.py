"""Flags behind a URL: sent once, refused for good or for now, and never a reason to fail."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from insula.adapters.http.flag_poll import HttpFlags
from insula.flags import ErrorCode, Flags, FlagsRefused, FlagsUnavailable
from insula.kernel.errors import ConfigurationError
from support.forking import in_child


class Served:
    """What the server says, and what it was asked with."""

    def __init__(self) -> None:
        self.status, self.body, self.kind, self.location = (
            200,
            b'{"flags": {"f": {"default": "on"}}}',
            "application/json",
            "",
        )
        self.asked: list[dict[str, str]] = []
        self.address = ""


@pytest.fixture
def served() -> Iterator[Served]:
    says = Served()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            says.asked.append(dict(self.headers))
            tag = f'"{hash(says.body)}"'
            status = 304 if self.headers.get("If-None-Match") == tag and says.status == 200 else says.status
            body = says.body if status == 200 else b""
            self.send_response(status)
            self.send_header("ETag", tag)
            self.send_header("Content-Type", says.kind)
            self.send_header("Content-Length", str(len(body)))
            if says.location:
                self.send_header("Location", says.location)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            """Silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        says.address = f"http://127.0.0.1:{server.server_port}"
        yield says
        server.shutdown()
        thread.join()


def test_the_same_content_is_sent_once(served: Served) -> None:
    source = HttpFlags(f"{served.address}/flags.json")
    flags = Flags(source)
    assert flags.renew()
    assert flags.is_on("f")
    assert not flags.renew()
    assert "If-None-Match" in served.asked[1]
    served.body = b'{"flags": {"f": {"default": "off"}}}'
    assert flags.renew()
    assert not flags.is_on("f")


def test_toml_is_known_by_its_name_or_its_type(served: Served) -> None:
    served.body = b"[flags.f]\n"
    found = HttpFlags(f"{served.address}/flags.toml").read()
    assert found is not None
    assert found[:2] == (served.body, True)
    served.kind = "application/toml"
    found = HttpFlags(f"{served.address}/flags").read()
    assert found is not None
    assert found[:2] == (served.body, True)


def test_a_bad_document_stays_a_trouble_until_there_is_a_good_one(served: Served) -> None:
    good, flags = served.body, Flags(HttpFlags(f"{served.address}/flags.json"))
    flags.renew()
    served.body = b'{"flags": {"f": {"defalt": "on"}}}'
    for _ in range(3):
        flags.renew()
        assert "there is no setting defalt" in flags.state.trouble
    served.body = good
    flags.renew()
    assert flags.state.trouble == ""


def test_what_was_read_and_not_yet_in_use_at_a_fork_is_read_again(served: Served) -> None:
    source = HttpFlags(f"{served.address}/flags.json")
    flags = Flags(source)
    flags.renew()
    served.body = b'{"flags": {"f": {"default": "off"}}}'
    source.read(None)  # as the parent's poller does, whose thread the fork leaves behind
    assert in_child(lambda: [flags.renew(), flags.is_on("f")]) == [True, False]


def test_a_token_is_read_again_each_time(served: Served, tmp_path: Path) -> None:
    token = tmp_path / "token"
    source = HttpFlags(f"{served.address}/x", token_file=token)
    with pytest.raises(FlagsUnavailable, match="cannot be read"):
        source.read()
    for secret in ("one", "two"):
        token.write_text(f"{secret}\n")
        source.read()
    assert [asked["Authorization"] for asked in served.asked] == ["Bearer one", "Bearer two"]


@pytest.mark.parametrize("status", [301, 401, 403, 404, 410])
def test_some_refusals_are_for_good(served: Served, status: int) -> None:
    served.status, served.location = status, "http://127.0.0.1:1/elsewhere"
    flags = Flags(HttpFlags(f"{served.address}/x?secret=1"))
    flags.renew()
    assert flags.state.trouble.startswith(f"{served.address}/x answers {status}")
    assert flags.details("f", 1).code is ErrorCode.PROVIDER_FATAL
    assert len(served.asked) == 1, "our token goes nowhere else"


@pytest.mark.parametrize("status", [304, 429, 500, 503])
def test_others_are_for_now(served: Served, status: int) -> None:
    served.status = status
    with pytest.raises(FlagsUnavailable, match=str(status)):
        HttpFlags(f"{served.address}/x").read()


def test_what_was_good_stays_while_nobody_answers(served: Served, tmp_path: Path) -> None:
    flags = Flags(HttpFlags(f"{served.address}/x"), kept=tmp_path / "kept")
    flags.renew()
    for served.status, served.body in ((503, b""), (200, b"<html>"), (200, b'{"flags": {"f": {"default": "no"}}}')):
        flags.renew()
        assert flags.is_on("f")
        assert flags.state.trouble
    assert Flags(HttpFlags(f"{served.address}/x"), kept=tmp_path / "kept").is_on("f")


def test_nobody_listens_there() -> None:
    with pytest.raises(FlagsUnavailable, match=r"http://127\.0\.0\.1:1/x does not answer: .*refused"):
        HttpFlags("http://127.0.0.1:1/x", timeout_seconds=1).read()


@pytest.mark.parametrize("url", ["ftp://host/x", "file:///etc/passwd", "http:///x", "flags.json"])
def test_what_is_no_url_of_http_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="write it like https://"):
        HttpFlags(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://user:s3cret@host/x", "http://user:s3cret@host:1x/x", "http://host/x y?sig=s3cret",
        "https:///x?sig=s3cret", "http://[host/x?sig=s3cret", "http://host/x\n?sig=s3cret",
    ],
)  # fmt: skip
def test_what_is_refused_is_not_shown(url: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        HttpFlags(url)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("token", ["s3cret\ns3cret", "s3cret s3cret", "s3cret\u00e9", "", "s3cret\x00"])
def test_a_token_that_is_none_is_neither_sent_nor_shown(served: Served, tmp_path: Path, token: str) -> None:
    file = tmp_path / "token"
    file.write_text(token)
    with pytest.raises(FlagsUnavailable, match="holds no token") as refused:
        HttpFlags(f"{served.address}/x", token_file=file).read()
    assert "s3cret" not in str(refused.value)
    assert served.asked == []


@pytest.mark.parametrize("start", [b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200 OK\r\n\r\n", b""])
def test_an_answer_that_drips_is_given_up_as_a_whole(start: bytes) -> None:
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            with server.accept()[0] as client, contextlib.suppress(OSError):
                client.sendall(start)
                while not over.wait(0.02):
                    client.sendall(b" ")

        thread = threading.Thread(target=drip)
        thread.start()
        with pytest.raises(FlagsUnavailable, match=r"not all of it came within 0\.2 s"):
            HttpFlags(f"http://127.0.0.1:{server.getsockname()[1]}/x", timeout_seconds=0.2).read()
        over.set()
        thread.join()


def test_a_refusal_is_a_flag_error(served: Served) -> None:
    served.status = 404
    with pytest.raises(FlagsRefused):
        HttpFlags(served.address).read()
