"""Flags in code: a type, a default, an owner, a last day; pinned in tests without disturbing others."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from insula import Command, Module
from insula.flags import (
    BooleanFlag,
    ErrorCode,
    FlagError,
    Flags,
    MemorySource,
    NumberFlag,
    ObjectFlag,
    Reason,
    StringFlag,
    current,
    override,
    use,
)
from insula.flags.typed import contradictions, declared_flags
from insula.testing import Scenario, VirtualClock

new_checkout = BooleanFlag("new-checkout", default=False, owner="orders", expires=date(2027, 3, 1))
theme = StringFlag("theme", default="light")
page_size = NumberFlag("page-size", default=20)
limits = ObjectFlag("limits", default={"lines": 5})


def test_without_flags_the_codes_defaults_hold() -> None:
    assert not new_checkout.is_on("ann", country="DE")
    assert (theme.value(), page_size.value("ann"), limits.value()) == ("light", 20, {"lines": 5})
    assert new_checkout.details("ann").code is ErrorCode.FLAG_NOT_FOUND


def test_a_flag_asks_the_flags_of_its_process() -> None:
    use(
        Flags(
            {
                "new-checkout": {"targeting": 'country == "DE" ? "on" : "off"'},
                "theme": {"variants": {"d": "dark"}, "default": "d"},
                "page-size": {"variants": {"large": 100.5}, "default": "large"},
                "limits": {"variants": {"none": []}, "default": "none"},
            }
        )
    )
    assert new_checkout.is_on("ann", country="DE")
    assert not new_checkout.is_on("ann", country="FR")
    assert (theme.value(), page_size.value("ann"), limits.value()) == ("dark", 100.5, [])
    assert new_checkout.details("ann", country="DE").reason is Reason.TARGETING_MATCH
    assert current().counts["new-checkout"] == {"on": 2, "off": 1}


def test_context_may_have_any_name() -> None:
    use(Flags({"new-checkout": {"targeting": "self == 1 && subject == 2"}}))
    assert new_checkout.is_on("ann", self=1, subject=2)


def test_a_watched_file_is_renewed_by_asking(tmp_path: Path) -> None:
    clock, file = VirtualClock(), tmp_path / "flags.toml"
    file.write_text("[flags.new-checkout]\n")
    use(Flags(file, clock=clock))
    assert not new_checkout.is_on()
    file.write_text('[flags.new-checkout]\ndefault = "on"\n')
    clock.advance(5)
    assert not new_checkout.is_on(), "it may still be written to"
    clock.advance(1)
    assert new_checkout.is_on()


def test_an_answer_that_fails_is_the_codes_default() -> None:
    use(Flags({"new-checkout": {"rollout": 100}}))
    assert not new_checkout.is_on()
    assert current().counts["new-checkout"] == {None: 1}


def test_a_default_of_another_type_is_refused_where_it_stands() -> None:
    with pytest.raises(FlagError, match=r"test_typed.py:\d+\): default='yes' is no boolean"):
        BooleanFlag("f", default="yes")  # type: ignore[arg-type]
    with pytest.raises(FlagError, match="default=True is no number"):
        NumberFlag("f", default=True)


def test_a_flag_is_expired_after_its_last_day() -> None:
    assert [new_checkout.is_expired(date(2027, 3, day)) for day in (1, 2)] == [False, True]
    assert not theme.is_expired(date(2100, 1, 1))


def test_declared_flags_are_known_with_owner_and_place() -> None:
    found = {flag.key: flag for flag in declared_flags() if flag.place.file == __file__}
    assert found["new-checkout"].owner == "orders"


def test_a_key_that_is_declared_twice_in_different_ways_is_told() -> None:
    first = NumberFlag("twice", default=1)
    second = NumberFlag("twice", default=2)
    (problem,) = (each for each in contradictions() if "twice" in each)
    assert problem == f"{second.place}: default=2, but 1 at {first.place}"
    del second
    assert not any("twice" in each for each in contradictions())


def test_a_test_pins_a_flag_until_the_end_of_its_block() -> None:
    use(Flags({"new-checkout": {"killed": True}}))
    with override(new_checkout, True):
        assert new_checkout.is_on("ann")
        assert new_checkout.details("ann").reason is Reason.OVERRIDE
        with override(new_checkout, False), override(theme, "dark"):
            assert not new_checkout.is_on("ann")
            assert theme.value() == "dark"
        assert new_checkout.is_on("ann")
        assert theme.value() == "light"
        assert current().is_on("new-checkout"), "also for who asks by its key"
    assert not new_checkout.is_on("ann")


def test_a_flag_without_a_source_can_be_pinned_by_its_key() -> None:
    with override("new-checkout", True):
        assert new_checkout.is_on()
    with override("theme", 5):
        assert theme.details().code is ErrorCode.TYPE_MISMATCH


def test_a_pin_of_another_type_is_refused() -> None:
    with pytest.raises(FlagError, match="theme is a string, and can never be 5"), override(theme, 5):
        pass


async def _pinned(value: bool, first: asyncio.Event, then: asyncio.Event) -> bool:
    with override(new_checkout, value):
        first.set()
        await then.wait()
        return new_checkout.is_on()


def test_tests_side_by_side_do_not_disturb_each_other() -> None:
    async def both() -> list[bool]:
        one, other = asyncio.Event(), asyncio.Event()
        return await asyncio.gather(_pinned(True, one, other), _pinned(False, other, one))

    assert asyncio.run(both()) == [True, False]


def test_another_thread_sees_nothing_of_a_pin() -> None:
    seen: list[bool] = []
    with override(new_checkout, True):
        thread = threading.Thread(target=lambda: seen.append(new_checkout.is_on()))
        thread.start()
        thread.join()
    assert seen == [False]


class Checkout(Command[bool]):
    """Is it the new one?"""


checkouts = Module("checkouts")
checkouts.bind(Flags, current)


@checkouts.handle(Checkout)
async def checkout(command: Checkout, flags: Flags) -> bool:
    """By the port, and by the declared flag."""
    return flags.is_on("new-checkout") and new_checkout.is_on()


async def test_a_handler_may_have_flags_as_a_port_and_a_test_pins_them() -> None:
    async with Scenario(checkouts, ports={Flags: Flags(MemorySource())}) as scenario:
        assert not await scenario.call(Checkout())
        with override(new_checkout, True):
            assert await scenario.call(Checkout())


def test_a_flag_that_is_taken_for_its_value_says_how_to_ask() -> None:
    flag, theme = BooleanFlag("f", default=False), StringFlag("theme", default="light")
    for misused in (lambda: bool(flag), lambda: flag == True, lambda: flag != False):  # noqa: E712
        with pytest.raises(TypeError, match=r"is_on\(…\)"):
            misused()
    for misused in (lambda: bool(theme), lambda: theme == "light"):
        with pytest.raises(TypeError, match=r"value\(…\)"):
            misused()
    assert flag == flag
    assert flag != BooleanFlag("f", default=False)
    assert len({flag, theme, flag}) == 2


def test_a_flag_of_another_type_is_told_once_and_counted_as_the_codes_default(
    caplog: pytest.LogCaptureFixture,
) -> None:
    flags = use(Flags({"f": {"default": "on"}, "n": {"variants": {"on": 1}, "default": "on"}}))
    wrong, odd = StringFlag("f", default="x"), BooleanFlag("n", default=True)
    for _ in range(2):
        assert (wrong.value(), odd.is_on()) == ("x", True)
    assert [record.getMessage() for record in caplog.records] == [
        "memory: flag f is no string; the code's default is taken",
        "memory: flag n is no boolean; the code's default is taken",
    ]
    assert flags.counts == {"f": {None: 2}, "n": {None: 2}}


@pytest.mark.parametrize("key", ["", 3, None])
def test_a_key_that_is_none_is_refused_where_it_stands(key: Any) -> None:
    with pytest.raises(FlagError, match=r"test_typed\.py.*a key is a text"):
        BooleanFlag(key, default=False)


@pytest.mark.parametrize("expires", ["2020-01-01", datetime(2020, 1, 1)])  # noqa: DTZ001
def test_a_last_day_that_is_none_is_refused_where_it_stands(expires: Any) -> None:
    with pytest.raises(FlagError, match=r"test_typed\.py.*date\(2027, 3, 1\)"):
        BooleanFlag("f", default=False, expires=expires)


async def test_a_pin_may_decorate_a_function_and_an_async_one() -> None:
    flag = BooleanFlag("pinned", default=False)

    @override(flag, True)
    def asked() -> bool:
        return flag.is_on()

    @override(flag, True)
    async def awaited() -> list[bool]:
        before = flag.is_on()
        await asyncio.sleep(0)
        return [before, flag.is_on()]

    assert (asked(), await awaited(), flag.is_on()) == (True, [True, True], False)
    assert await asyncio.gather(awaited(), awaited()) == [[True, True], [True, True]]


def test_a_pin_of_a_generator_is_refused() -> None:
    async def fixture() -> AsyncIterator[None]:
        yield

    def other() -> Iterator[None]:
        yield

    for generator in (fixture, other):
        with pytest.raises(FlagError, match="cannot be pinned for the generator"):
            override("f", True)(generator)


async def test_a_pin_that_ends_in_another_task_says_what_to_do() -> None:
    async def fixture() -> AsyncIterator[None]:
        with override("f", True):
            yield

    steps = fixture()
    await asyncio.create_task(anext(steps))  # type: ignore[arg-type]
    with pytest.raises(FlagError, match="pin it where it is asked for"):
        await steps.aclose()  # type: ignore[attr-defined]
