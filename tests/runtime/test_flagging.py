"""A process has the flags that its configuration names, also when their source does not answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from insula import Module, System
from insula.adapters.http.flag_poll import HttpFlags
from insula.adapters.sql.flag_table import FlagTable
from insula.flags import BooleanFlag, Content, FileSource, FlagError, current
from insula.flags.editing import edited
from insula.kernel.context import process_state
from insula.kernel.errors import ConfigurationError
from insula.runtime import flagging
from insula.runtime.admin import status_of
from insula.runtime.application import Application
from insula.runtime.configuration import Configuration, FlagSettings, load
from insula.runtime.flagging import change_flag, flags_of_process, flags_status, source_of
from insula.testing import VirtualClock

new_checkout = BooleanFlag("new-checkout", default=False)


@pytest.fixture(autouse=True)
def _own_process() -> Iterator[None]:
    before = process_state.set({})
    yield
    process_state.reset(before)


def configuration(tmp_path: Path, source: str) -> Configuration:
    """Flags from there, data in the test's own folder."""
    found = load(None, {"INSULA_FLAGS_SOURCE": source, "INSULA_STORE_DIRECTORY": str(tmp_path / "data")})
    return msgspec.structs.replace(found, flags=msgspec.structs.replace(found.flags, check_seconds=30.0))


def wait_for_pause(clock: VirtualClock) -> None:
    """Wait until the poller has looked, and looks no more before the time is another one."""
    while clock.next_alarm() is None:
        threading.Event().wait(0.001)


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("flags.toml", FileSource), ("a/b.json", FileSource), ("https://flags.example.org/shop", HttpFlags),
        ("sqlite:///flags.db", FlagTable), ("postgresql://flags@localhost/flags", FlagTable),
    ],
)  # fmt: skip
def test_an_address_says_what_it_is(source: str, kind: type) -> None:
    assert isinstance(source_of(FlagSettings(source=source)), kind)


def test_an_address_that_is_none_is_refused_with_those_that_are() -> None:
    for source in ("", "flags.yaml", "flags"):
        with pytest.raises(ConfigurationError, match=r"flags\.toml, .*https://.*sqlite:///"):
            source_of(FlagSettings(source=source))


@pytest.mark.parametrize(
    "source", ["postgresql:/flags:s3cret@h/x", "flags?sig=s3cret", "https:///x?sig=s3cret", "nothing://u:s3cret@h/x"]
)
def test_an_address_that_is_none_is_refused_without_its_secrets(source: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        source_of(FlagSettings(source=source))
    assert "s3cret" not in str(refused.value)


def test_without_a_source_the_codes_defaults_hold(tmp_path: Path) -> None:
    with flags_of_process(Configuration()) as flags:
        assert flags is None
        assert not new_checkout.is_on()
        assert flags_status() == []


def test_a_file_is_renewed_while_the_process_runs_and_kept(tmp_path: Path) -> None:
    file, clock = tmp_path / "flags.toml", VirtualClock()
    file.write_text('[flags.new-checkout]\ndefault = "on"\n')
    settings = configuration(tmp_path, str(file))
    with flags_of_process(settings, clock):
        assert new_checkout.is_on()
        file.write_text("[flags.new-checkout]\n")
        for seconds in (30, 1):  # it may still be written to at the first look
            wait_for_pause(clock)
            assert new_checkout.is_on()
            clock.advance(seconds)
        wait_for_pause(clock)
        assert not new_checkout.is_on()
    file.write_text("[")
    with flags_of_process(settings, clock):
        assert not new_checkout.details().value
        assert current().state.from_kept


def test_a_database_is_polled_and_what_was_good_is_kept(tmp_path: Path) -> None:
    database = tmp_path / "flags.db"
    settings = configuration(tmp_path, f"sqlite:///{database}")
    change_flag(settings.flags, "new-checkout", {"default": "on"}, "ann", new=True)
    with flags_of_process(settings):
        assert new_checkout.is_on()
    database.unlink()
    with flags_of_process(settings):
        assert new_checkout.is_on()
        (status,) = flags_status()
        assert (status.flags, status.age_seconds, status.stale) == (1, None, True)
        assert "no such table" in status.trouble
        assert status.counts == {"new-checkout": {"on": 1}}


def test_a_file_that_somebody_changes_meanwhile_is_left_to_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "flags.toml"
    file.write_text("[flags.new-checkout]\n")

    def edited_slowly(*arguments: Any, **named: Any) -> Content:
        file.write_text("[flags.new-checkout]\nrollout = 5\n")
        return edited(*arguments, **named)

    monkeypatch.setattr(flagging, "edited", edited_slowly)
    with pytest.raises(FlagError, match="changed by somebody else meanwhile"):
        change_flag(FlagSettings(source=str(file)), "new-checkout", {"killed": True}, "ann")
    assert file.read_text() == "[flags.new-checkout]\nrollout = 5\n"


async def test_the_status_of_a_process_shows_its_flags(tmp_path: Path) -> None:
    file = tmp_path / "flags.toml"
    file.write_text("[flags.new-checkout]\nrollout = 50\n")
    settings = configuration(tmp_path, str(file))
    with flags_of_process(settings):
        new_checkout.is_on()
        async with Application(System("single", Module("single")), settings) as application:
            told = json.loads(msgspec.json.encode(await status_of(application)))
    (flags,) = told["flags"]
    assert (flags["source"], flags["flags"], flags["stale"]) == (str(file), 1, False)
    assert flags["counts"] == {"new-checkout": {"the code's default": 1}}
