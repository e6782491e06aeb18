"""Calls between processes: answers, refusals and failures cross as what they are; versions that do not fit are told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from insula import Caller, Command, Context, Module, Query, Rejection, System
from insula.adapters.http.guard import Unreachable
from insula.adapters.http.neighbours import Exchange, HttpNeighbours, Request
from insula.edge.remote import ContractDiffers, MessageNotServed, Reply
from insula.kernel.clock import SystemClock
from insula.kernel.context import MessageContext, TraceContext
from insula.kernel.deadline import Deadline
from insula.kernel.errors import ConfigurationError, DeadlineExceeded, Failure, Unavailable
from insula.messages import FrozenMap
from insula.resilience import CircuitOpen, attempts_of
from insula.runtime.application import Application
from support.neighbourhood import TOKEN, free_port, served

CLOCK = SystemClock()
ID = "0190a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"

far = Module("far")


class Said(Rejection, status=418):
    """Refused, with everything that a payload may hold."""

    why: str
    counts: FrozenMap[str, int]


class Tell(Query[tuple[str, ...]], name="far.Tell", rejects=(Said,)):
    """Answered with what the handler knows of the call."""

    what: str = "context"


class Count(Command[int]):
    """Counts how often it was carried out."""


class Unheard(Query[int]):
    """Nobody handles it."""


counted: list[str] = []


def _within(seconds: float | None) -> str:
    """The limit that is nearest, since some of it is spent on the way."""
    assert seconds is not None
    return "9 s" if seconds <= 9 else "30 s"


@far.handle(Tell)
async def tell(query: Tell, context: Context, caller: Caller) -> tuple[str, ...]:
    if query.what == "reject":
        raise Said(why="no – nein", counts=FrozenMap({"a": 1}))
    if query.what == "unavailable":
        raise Unavailable("the cupboard is locked", retry_after=7)
    if query.what == "circuit":
        raise CircuitOpen("the bank is down", retry_after=7)
    if query.what == "break":
        raise ZeroDivisionError("secret")
    if query.what == "hang":
        await asyncio.Event().wait()
    remaining = context.remaining()
    trace = "" if context.causation_id is None else context.causation_id
    return (caller.subject, context.message_id, context.correlation_id, trace, _within(remaining))


@far.handle(Count)
async def count(command: Count) -> int:
    counted.append("once")
    return len(counted)


@asynccontextmanager
async def neighbours(folder: Path, token: str = TOKEN, **options: Any) -> AsyncIterator[HttpNeighbours]:
    """A client of a process that runs `far`."""
    port = free_port()
    async with Application(System("one", far), directory=folder) as application, served(application, port) as url:
        client = HttpNeighbours({"far": url}, token, CLOCK, **options)
        try:
            yield client
        finally:
            await client.close()


def context(**parts: Any) -> MessageContext:
    return MessageContext(ID, parts.pop("correlation_id", ID), **parts)


async def test_what_surrounds_a_message_travels_along(tmp_path: Path) -> None:
    trace = TraceContext.of_message(ID)
    around = context(
        correlation_id="c", causation_id="b", caller=Caller("Žofie"), trace=trace, deadline=Deadline.after(9, CLOCK)
    )
    async with neighbours(tmp_path) as client:
        assert await client.call("far", Tell(), around) == ("Žofie", ID, "c", "b", "9 s")
        assert await client.call("far", Tell(), context()) == ("anonymous", ID, ID, "", "30 s")


async def test_a_rejection_arrives_as_its_own_type(tmp_path: Path) -> None:
    async with neighbours(tmp_path) as client:
        with pytest.raises(Said) as refused:
            await client.call("far", Tell(what="reject"), context())
    assert refused.value == Said(why="no – nein", counts=FrozenMap({"a": 1}))


async def test_a_failure_keeps_its_type_and_its_words_and_a_bug_tells_nothing_of_itself(tmp_path: Path) -> None:
    async with neighbours(tmp_path) as client:
        with pytest.raises(Unavailable, match="the cupboard is locked") as locked:
            await client.call("far", Tell(what="unavailable"), context())
        assert locked.value.retry_after == 7
        with pytest.raises(Failure, match="the log of that process says why") as broken:
            await client.call("far", Tell(what="break"), context())
        assert "secret" not in str(broken.value)


async def test_a_kind_of_unavailable_that_the_caller_need_not_know_arrives_as_unavailable(tmp_path: Path) -> None:
    async with neighbours(tmp_path) as client:
        with pytest.raises(Unavailable, match="the bank is down") as told:
            await client.call("far", Tell(what="circuit"), context())
    assert (type(told.value), told.value.retry_after) == (Unavailable, 7)


async def test_a_call_that_reaches_nobody_is_made_three_times_unless_something_else_is_put_around(
    tmp_path: Path,
) -> None:
    addresses = {"far": f"http://127.0.0.1:{free_port()}"}
    for client, attempts in (
        (HttpNeighbours(addresses, TOKEN, CLOCK), 3),
        (HttpNeighbours(addresses, TOKEN, CLOCK, around=lambda exchange: exchange), 0),
    ):
        with pytest.raises(Unavailable) as raised:
            await client.call("far", Tell(), context())
        assert len(attempts_of(raised.value)) == attempts
        await client.close()


async def test_nobody_there_is_unavailable_and_a_module_without_address_is_told() -> None:
    client = HttpNeighbours({"far": f"http://127.0.0.1:{free_port()}"}, TOKEN, CLOCK)
    with pytest.raises(Unavailable, match=r"far at http://127\.0\.0\.1:.* cannot be reached"):
        await client.call("far", Tell(), context())
    with pytest.raises(ConfigurationError, match="no address is known of the module near"):
        await client.call("near", Tell(), context())
    await client.close()


async def test_a_handler_that_takes_longer_than_the_deadline_is_told_as_such(tmp_path: Path) -> None:
    async with neighbours(tmp_path) as client:
        with pytest.raises(DeadlineExceeded):
            await client.call("far", Tell(what="hang"), context(deadline=Deadline.after(0.2, CLOCK)))
        with pytest.raises(DeadlineExceeded, match="no time is left"):
            await client.call("far", Tell(), context(deadline=Deadline.after(0, CLOCK)))


async def test_without_a_deadline_a_call_has_a_limit_all_the_same(tmp_path: Path) -> None:
    async with neighbours(tmp_path, timeout_seconds=0.2) as client:
        with pytest.raises(DeadlineExceeded, match=r"did not answer far\.Tell in 0\.2 s; it may still have happened"):
            await client.call("far", Tell(what="hang"), context())


async def test_a_command_sent_again_under_its_id_works_once(tmp_path: Path) -> None:
    counted.clear()
    async with neighbours(tmp_path) as client:
        assert [await client.call("far", Count(), context()) for _ in range(3)] == [1, 1, 1]
    assert len(counted) == 1


async def test_a_message_that_is_not_served_is_told_with_the_reason(tmp_path: Path) -> None:
    async with neighbours(tmp_path) as client:
        with pytest.raises(MessageNotServed, match="this process runs another version of the system, or other modules"):
            await client.call("far", Unheard(), context())


async def test_a_message_of_another_version_is_refused(tmp_path: Path) -> None:
    class NewTell(Query[tuple[str, ...]], name="far.Tell", version=2):
        """The same name, said to be another version."""

    async with neighbours(tmp_path) as client:
        with pytest.raises(ContractDiffers, match=r"far.Tell: .* different versions .* bring both to one version"):
            await client.call("far", NewTell(), context())


async def test_a_message_or_an_answer_that_does_not_fit_is_told_as_a_difference_of_versions(tmp_path: Path) -> None:
    class OtherQuestion(Query[tuple[str, ...]], name="far.Tell"):
        """Its field has another type."""

        what: int = 3

    class OtherAnswer(Query[int], name="far.Tell"):
        """It expects another answer."""

    async with neighbours(tmp_path) as client:
        with pytest.raises(ContractDiffers, match="what: Expected `str`, got `int`"):
            await client.call("far", OtherQuestion(), context())
        with pytest.raises(ContractDiffers, match="Expected `int`, got `array`"):
            await client.call("far", OtherAnswer(), context())


async def test_versions_that_differ_and_fit_understand_each_other(tmp_path: Path) -> None:
    class OlderTell(Query[tuple[str, ...]], name="far.Tell"):
        """Does not know the field `what`."""

    async with neighbours(tmp_path) as client:
        assert (await client.call("far", OlderTell(), context()))[0] == "anonymous"


async def test_only_who_has_the_token_may_call(tmp_path: Path) -> None:
    async with neighbours(tmp_path, token="guessed") as client:
        with pytest.raises(Failure, match="refuses the token"):
            await client.call("far", Tell(), context())


async def test_an_answer_of_somebody_else_is_not_taken_for_one(tmp_path: Path) -> None:
    async with neighbours(tmp_path) as client:
        client._addresses["far"][0] += "/elsewhere"
        with pytest.raises(MessageNotServed, match="takes no calls"):
            await client.call("far", Tell(), context())


async def test_headers_that_nobody_of_us_sends_are_refused(tmp_path: Path) -> None:
    port = free_port()
    async with (
        Application(System("one", far), directory=tmp_path) as application,
        served(application, port) as url,
        aiohttp.ClientSession(headers={"authorization": f"Bearer {TOKEN}"}) as session,
        session.post(f"{url}/_insula/call/far.Tell", data=b"{}") as answer,
    ):
        assert answer.status == 400
        assert "insula-message-id is missing" in await answer.text()


async def test_what_is_put_around_an_exchange_may_send_it_again(tmp_path: Path) -> None:
    attempts: list[Request] = []

    def twice(send: Exchange) -> Exchange:
        async def exchange(request: Request) -> Reply:
            attempts.append(request)
            try:
                return await send(request)
            except Unavailable:
                attempts.append(request)
                return await send(request)

        return exchange

    async with neighbours(tmp_path, around=twice) as client:
        with pytest.raises(Unavailable):
            await client.call("far", Tell(what="unavailable"), context())
    assert [each.name for each in attempts] == ["far.Tell", "far.Tell"]


async def test_several_processes_of_a_module_take_turns_and_stand_in_for_one_that_is_away() -> None:
    asked: list[str] = []

    def played(exchange: Exchange) -> Exchange:
        async def send(request: Request) -> Reply:
            process = request.url.removeprefix("http://").partition("/")[0]
            asked.append(process)
            if process == "b":
                raise Unreachable("b is away")
            if process == "full":
                raise Unavailable("the cupboard is locked")
            return Reply("answer", 200, b"7")

        return send

    addresses = {"far": ["http://a", "http://b", "http://c"], "locked": ["http://full", "http://full"]}
    neighbours = HttpNeighbours(addresses, TOKEN, CLOCK, around=played)
    assert [await neighbours.call("far", Count(), context()) for _ in range(3)] == [7, 7, 7]
    assert asked == ["b", "c", "c", "a"]
    asked.clear()
    with pytest.raises(Unavailable, match="the cupboard is locked"):  # it was answered, so nobody else is asked
        await neighbours.call("locked", Count(), context())
    assert asked == ["full"]


@pytest.mark.parametrize(("option", "value"), [("timeout_seconds", 0), ("connections", 0)])
def test_bad_parameters_are_refused_with_their_name(option: str, value: int) -> None:
    with pytest.raises(ConfigurationError, match=rf"HttpNeighbours\({option}={value}"):
        HttpNeighbours({}, TOKEN, CLOCK, **{option: value})  # type: ignore[arg-type]
