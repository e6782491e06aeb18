"""Flags change while they are used, are never worse than before, and show how old they are."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from insula.flags import (
    Content,
    ErrorCode,
    FlagError,
    Flags,
    FlagsChange,
    FlagSet,
    FlagsUnavailable,
    MemorySource,
)
from insula.testing import VirtualClock
from support.forking import in_child

ON, OFF = '[flags.f]\ndefault = "on"\n', '[flags.f]\ndefault = "off"\n'


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "flags.toml"
    file.write_text(OFF)
    return file


class Remote:
    """A source beyond a network, as it is now: content, or why there is none."""

    name, waits = "flags.example.org", True

    def __init__(self, now: bytes | Exception | None) -> None:
        self.now = now
        self.reads = 0

    def read(self, known: Content | None = None) -> Content | None:
        self.reads += 1
        if isinstance(self.now, Exception):
            raise self.now
        return None if self.now is None else Content(self.now, toml=True)


def looked(flags: Flags) -> bool:
    """Whether two looks, the second of which finds a changed file settled, find other flags."""
    return flags.renew() or flags.renew()


def test_a_file_is_looked_at_again_when_its_time_is_over(path: Path, clock: VirtualClock) -> None:
    flags = Flags(path, check_seconds=5, clock=clock)
    path.write_text(ON)
    assert not flags.is_on("f")
    clock.advance(5)
    assert not flags.is_on("f"), "it may still be written to"
    clock.advance(1)
    assert flags.is_on("f")


def test_a_file_that_is_half_written_is_not_taken(path: Path, clock: VirtualClock) -> None:
    path.write_text(f"{ON}[flags.g]\ndefault = 'on'\n")
    flags = Flags(path, clock=clock)
    with path.open("w") as file:
        for step in (ON, "[flags.g]\n", "default = 'on'\n", "[flags.h]\n"):
            file.write(step)
            file.flush()
            clock.advance(5)
            assert flags.is_on("g")
            assert (flags.state.flags, flags.state.trouble) == (2, "")
    clock.advance(1)
    assert flags.is_on("g")
    assert flags.state.flags == 3


def test_a_look_at_a_file_that_is_being_written_to_forgives_nothing(path: Path, clock: VirtualClock) -> None:
    flags = Flags(path, clock=clock)
    path.write_text("[")
    looked(flags)
    path.write_text("[[[")
    flags.renew()
    assert "is no TOML" in flags.state.trouble


def test_a_bad_file_keeps_the_last_good_and_says_why(
    path: Path, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    flags = Flags(path, clock=clock)
    version = flags.state.version
    for bad in ("[flags.f", '[flags.f]\ndefault = "maybe"\n', "x = 1", b"\xff\xfe".decode("latin-1")):
        path.write_text(bad)
        looked(flags)
        assert flags.details("f", True).value is False
        assert flags.state.version == version
        assert str(path) in flags.state.trouble
    path.write_text(OFF)
    clock.advance(5)
    flags.is_on("f")
    assert flags.state.trouble == ""
    path.unlink()
    caplog.clear()
    for _ in range(5):
        clock.advance(5)
        assert flags.details("f", True).value is False
    assert [record.getMessage() for record in caplog.records] == [
        f"{path} cannot be read: No such file or directory; version {version} stays in use"
    ]


def test_flags_are_stale_when_their_source_fails_for_too_long(path: Path, clock: VirtualClock) -> None:
    flags = Flags(path, stale_seconds=60, clock=clock)
    told: list[FlagsChange] = []
    flags.listen(told.append)
    path.unlink()
    for _ in range(20):
        clock.advance(5)
        flags.is_on("f")
    state = flags.state
    assert (state.stale, state.age_seconds, state.flags) == (True, 100.0, 1)
    assert [change.stale for change in told] == [True], "told once"
    path.write_text(OFF)
    clock.advance(5)
    flags.is_on("f")
    assert (flags.state.stale, flags.state.age_seconds) == (False, 0.0)
    assert [change.stale for change in told] == [True, False]


def test_flags_that_nobody_asked_for_are_not_stale(path: Path, clock: VirtualClock) -> None:
    flags = Flags(path, clock=clock)
    clock.advance(1000)
    assert not flags.state.stale


def test_listeners_hear_which_flags_are_other_ones(path: Path, clock: VirtualClock) -> None:
    flags = Flags(path, clock=clock)
    told: list[FlagsChange] = []
    stop = flags.listen(told.append)
    path.write_text(f"{ON}[flags.g]\n")
    assert looked(flags)
    assert not flags.renew(), "nothing new"
    path.write_text(OFF)
    stop()
    looked(flags)
    assert [change.keys for change in told] == [("f", "g")]


def test_a_listener_that_fails_disturbs_nobody(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    flags = Flags(path)
    told: list[FlagsChange] = []

    def failing(change: FlagsChange) -> None:
        raise RuntimeError("no")

    flags.listen(failing)
    flags.listen(told.append)
    path.write_text(ON)
    looked(flags)
    assert (len(told), flags.is_on("f")) == (1, True)
    assert "a listener of flags failed" in caplog.text


def test_a_process_begins_with_what_was_kept_when_its_source_is_of_no_use(path: Path, tmp_path: Path) -> None:
    kept = tmp_path / "state" / "flags"
    path.write_text(ON)
    Flags(path, kept=kept)
    path.write_text("[")
    flags = Flags(path, kept=kept)
    assert flags.is_on("f")
    assert (flags.state.from_kept, flags.state.read_at, flags.state.stale) == (True, None, True)
    path.write_text(OFF)
    flags.renew()
    assert (flags.is_on("f"), flags.state.from_kept, flags.state.stale) == (False, False, False)


@pytest.mark.parametrize("damage", [b"toml\n[[[", b"", b"\xff", b'{"source": 7}\n', b"[" * 5000])
def test_what_is_kept_and_damaged_is_passed_over_and_told_once(
    path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: bytes
) -> None:
    kept = tmp_path / "kept"
    kept.write_bytes(damage)
    path.unlink()
    flags = Flags(path, kept=kept)
    details = flags.details("f", "the code's")
    assert (details.value, details.code) == ("the code's", ErrorCode.PROVIDER_NOT_READY)
    flags.renew()
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        f"{kept} is no file of kept flags, and is not taken"
    ]


def test_what_is_kept_and_torn_is_passed_over(path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    kept = tmp_path / "kept"
    path.write_text(f"{ON}[flags.g]\n")
    Flags(path, kept=kept)
    path.unlink()
    assert Flags(path, kept=kept).is_on("f")
    kept.write_bytes(kept.read_bytes().removesuffix(b"[flags.g]\n"))
    assert Flags(path, kept=kept).state.flags == 0
    assert "damaged" in caplog.text


def test_what_another_source_has_kept_is_nobody_elses(path: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    path.write_text(ON)
    Flags(path, kept=kept)
    other = Flags(tmp_path / "none.toml", kept=kept)
    assert not other.is_on("f")
    assert kept.stat().st_mode & 0o777 == 0o600, "targeting may name people"


def test_a_first_start_without_anything_kept_is_nothing_to_warn_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    flags = Flags(Remote(FlagsUnavailable("nobody answers")), kept=tmp_path / "kept")
    flags.renew()
    flags.renew()
    assert [record.getMessage() for record in caplog.records] == ["nobody answers; the code's defaults are in use"]


def test_what_cannot_be_kept_is_logged_and_used(path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    assert Flags(path, kept=tmp_path / "file" / "kept").state.flags == 1
    assert "could not be kept" in caplog.text


def test_a_source_beyond_a_network_is_never_read_while_a_flag_is_asked_for(clock: VirtualClock, tmp_path: Path) -> None:
    remote = Remote(ON.encode())
    flags = Flags(remote, kept=tmp_path / "kept", clock=clock)
    assert flags.details("f", "the code's").code is ErrorCode.PROVIDER_NOT_READY
    clock.advance(100)
    flags.is_on("f")
    assert remote.reads == 0
    assert flags.renew()
    assert flags.is_on("f")
    remote.now = None  # not modified
    assert not flags.renew()
    assert Flags(Remote(FlagsUnavailable("nobody answers")), kept=tmp_path / "kept").is_on("f"), "from the last time"


class Slow:
    """A source whose second read takes until somebody lets it go, and is then the older one."""

    name, waits = "a slow server", False

    def __init__(self) -> None:
        self.reads = 0
        self.begun, self.goes_on = threading.Event(), threading.Event()

    def read(self, known: Content | None = None) -> Content:
        self.reads += 1
        content = Content(b'{"version": "%d", "flags": {"f": {}}}' % self.reads)
        if self.reads == 2:
            self.begun.set()
            self.goes_on.wait(10)
        return content


def test_what_was_read_earlier_never_takes_the_place_of_what_was_read_later(clock: VirtualClock) -> None:
    source = Slow()
    flags = Flags(source, check_seconds=100, clock=clock)
    with ThreadPoolExecutor(1) as threads:
        earlier = threads.submit(flags.renew)
        source.begun.wait(10)
        assert (flags.is_on("f"), flags.state.version) == (False, "1"), "asking waits for nobody"
        flags.renew()
        assert flags.state.version == "3"
        source.goes_on.set()
        assert not earlier.result(10)
    assert flags.state.version == "3"
    flags.is_on("f")
    assert flags.state.version == "4", "it is looked at again at once: of the two the other may have been the later"


def test_a_fork_in_the_middle_of_a_renewal_holds_nobody_up() -> None:
    source = Slow()
    flags = Flags(source, check_seconds=100)
    thread = threading.Thread(target=flags.renew)
    thread.start()
    source.begun.wait(10)
    try:
        assert in_child(lambda: [flags.renew(), flags.state.version]) == [False, "3"]
    finally:
        source.goes_on.set()
        thread.join()


def test_a_source_that_says_nothing_has_changed_at_first_is_of_no_use(clock: VirtualClock) -> None:
    flags = Flags(Remote(None), clock=clock)
    flags.renew()
    assert "nothing was read before" in flags.state.trouble


def test_a_source_of_somebody_elses_may_raise_whatever_it_likes(clock: VirtualClock) -> None:
    flags = Flags(Remote(ZeroDivisionError("odd")), clock=clock)
    flags.renew()
    assert flags.state.trouble == "flags.example.org: ZeroDivisionError: odd"


def test_a_bad_file_at_the_beginning_is_a_parse_error(path: Path) -> None:
    path.write_text("[")
    details = Flags(path).details("f", 1)
    assert (details.value, details.code) == (1, ErrorCode.PARSE_ERROR)
    assert str(path) in details.message


def test_memory_changes_when_its_owner_says_so() -> None:
    source = MemorySource({"f": {"default": "off"}})
    flags = Flags(source)
    source.put({"f": {"default": "on"}}, version="2")
    flags.renew()
    assert (flags.is_on("f"), flags.state.version, flags.state.stale) == (True, "2", False)


def test_json_is_read_too_and_the_version_is_a_digest_unless_it_is_written(tmp_path: Path) -> None:
    file = tmp_path / "flags.json"
    file.write_text('{"version": "7", "flags": {"f": {"variants": {"a": null}, "expires": "2030-01-01"}}}')
    assert FlagSet.load(file).version == "7"
    assert FlagSet.of({"flags": {}}).version == FlagSet.of({"flags": {}}).version
    assert FlagSet.of({"flags": {}}).version != FlagSet.of({"flags": {"f": {}}}).version
    with pytest.raises(FlagError, match="is no JSON"):
        FlagSet.read(b"{", toml=False, origin="x.json")


def test_counters_outlast_a_change(path: Path) -> None:
    flags = Flags(path)
    flags.is_on("f")
    path.write_text(ON)
    looked(flags)
    flags.is_on("f")
    flags.is_on("f")
    assert flags.counts == {"f": {"off": 1, "on": 2}}
    assert flags.counts == {"f": {"off": 1, "on": 2}}, "reading counts nothing"


def test_a_misspelt_flag_is_told_once_and_counted(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    flags = Flags(path)
    for _ in range(3):
        assert not flags.is_on("ff")
    assert [record.getMessage() for record in caplog.records] == [f"{path} has no flag ff; the code's default is taken"]
    assert flags.counts == {"ff": {None: 3}}


def test_names_without_end_fill_neither_log_nor_memory(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    flags = Flags(path)
    for number in range(1500):
        flags.is_on(f"unknown-{number}")
    assert (len(caplog.records), len(flags.counts)) == (1000, 1000)


def test_flags_that_were_never_given_are_missed_by_nobody(caplog: pytest.LogCaptureFixture) -> None:
    Flags().is_on("f")
    assert caplog.records == []


def test_a_path_may_be_a_text(path: Path, tmp_path: Path) -> None:
    kept = str(tmp_path / "kept")
    assert Flags(str(path), kept=kept).state.flags == 1
    path.unlink()
    assert Flags(path, kept=kept).state.flags == 1


@pytest.mark.parametrize("source", ["https://flags.example.org/x?sig=s3cret", 7, b"flags.toml"])
def test_what_is_no_source_is_refused_with_those_that_are(source: Any) -> None:
    with pytest.raises(FlagError, match=r"HttpFlags.*FlagTable") as refused:
        Flags(source)
    assert "s3cret" not in str(refused.value)
