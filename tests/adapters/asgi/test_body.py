"""Bodies are read, up to a limit."""

from __future__ import annotations

from typing import Any

import pytest

from insula.messages import Command
from insula.modules.module import Module

notes = Module("notes")


class WriteNote(Command[None]):
    text: str


@notes.post("/notes", status=204)
@notes.handle(WriteNote)
async def write_note(command: WriteNote) -> None:
    return None


def body_of(length: int) -> bytes:
    return b'{"text":"' + b"x" * (length - 11) + b'"}'


async def test_a_body_may_come_in_pieces(bus: Any, serve: Any) -> None:
    answer = await serve(notes).send("POST", "/notes", [b'{"te', b'xt":"a', b"", b'b"}'])
    assert answer.status == 204
    assert bus.calls == [WriteNote(text="ab")]


async def test_a_body_as_long_as_the_limit_is_taken(serve: Any) -> None:
    client = serve(notes, body_limit_bytes=100)
    whole = await client.send("POST", "/notes", body_of(100), {"content-length": "100"})
    in_pieces = await client.send("POST", "/notes", [body_of(100)[:60], body_of(100)[60:]])
    assert (whole.status, in_pieces.status) == (204, 204)


@pytest.mark.parametrize("chunks", [[body_of(101)], [body_of(200)[:60], body_of(200)[60:]], [b"{" * 60] * 1000])
async def test_a_longer_body_is_refused_without_reading_on(bus: Any, serve: Any, chunks: list[bytes]) -> None:
    client = serve(notes, body_limit_bytes=100)
    answer = await client.send("POST", "/notes", chunks)
    assert (answer.status, answer.json["code"], answer.headers["connection"]) == (413, "ContentTooLarge", "close")
    assert len(client.body_read) <= 2
    assert bus.calls == []


async def test_a_longer_body_is_refused_by_its_announced_length(serve: Any) -> None:
    client = serve(notes)
    answer = await client.send("POST", "/notes", b"{}", {"content-length": str(1024 * 1024 + 1)})
    assert (answer.status, client.body_read) == (413, [])
    assert "1048576 bytes" in answer.json["detail"]


async def test_a_length_that_is_no_number_is_refused(serve: Any) -> None:
    answer = await serve(notes).send("POST", "/notes", b"{}", {"content-length": "many"})
    assert (answer.status, answer.json["code"]) == (400, "ContentLengthInvalid")


@pytest.mark.parametrize("chunks", [[b"<hang up>"], [b'{"text":', b"<hang up>"]])
async def test_a_client_that_hangs_up_changes_nothing_and_gets_no_answer(
    bus: Any, serve: Any, chunks: list[bytes]
) -> None:
    answer = await serve(notes).send("POST", "/notes", [*chunks, b"never read"])
    assert answer.status == 0
    assert bus.calls == []
