"""A file is changed by one at a time, replaced as a whole, and stays whose it was."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from insula.flags import FlagError, FlagSet
from insula.flags.files import one_at_a_time, replace_file
from insula.runtime.configuration import FlagSettings
from insula.runtime.flagging import change_flag
from support.forking import in_child


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "flags.toml"


def test_changes_at_the_same_time_are_all_there_afterwards(path: Path) -> None:
    keys = [f"f{number}" for number in range(8)]
    path.write_text("".join(f"[flags.{key}]\nrollout = 5\n" for key in keys))
    settings, begin = FlagSettings(source=str(path)), threading.Barrier(len(keys))

    def kill(key: str) -> bool:
        begin.wait(10)
        return change_flag(settings, key, {"killed": True}, "ann")

    with ThreadPoolExecutor(len(keys)) as threads:
        assert all(threads.map(kill, keys))
    assert [key for key, flag in FlagSet.load(path).items() if not flag.killed] == []


def test_a_change_waits_for_that_of_another_process(path: Path) -> None:
    path.write_text("[flags.f]\n[flags.g]\n")
    settings, ended = FlagSettings(source=str(path)), threading.Event()

    def kill() -> None:
        change_flag(settings, "f", {"killed": True}, "ann")
        ended.set()

    with one_at_a_time(path):
        waiting = threading.Thread(target=kill)
        waiting.start()
        in_child(lambda: replace_file(path, b"[flags.f]\n[flags.g]\nkilled = true\n"))
        assert not ended.is_set()
    waiting.join(10)
    assert [flag.killed for flag in FlagSet.load(path).values()] == [True, True]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_a_file_stays_whose_it_was(path: Path) -> None:
    path.write_text("old")
    path.chmod(0o640)
    os.chown(path, 1000, 1001)
    replace_file(path, b"new")
    found = path.stat()
    assert (path.read_text(), found.st_uid, found.st_gid, found.st_mode & 0o777) == ("new", 1000, 1001, 0o640)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_a_file_that_could_not_stay_whose_it_is_is_left_alone(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_text("[flags.f]\n")
    os.chown(path, 1000, 1001)

    def refuse(*whose: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "fchown", refuse)
    with pytest.raises(FlagError, match="cannot be written: it belongs to user 1000 and group 1001"):
        change_flag(FlagSettings(source=str(path)), "f", {"killed": True}, "ann")
    assert (path.read_text(), path.stat().st_uid) == ("[flags.f]\n", 1000)


def test_a_file_may_be_for_its_owner_alone_and_leaves_nothing_beside_it(path: Path) -> None:
    path.write_text("old")
    replace_file(path, b"new", mode=0o600)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["flags.toml"]


def test_what_cannot_be_replaced_stays_as_it_was(path: Path) -> None:
    path.write_text("old")

    def refuse() -> None:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        replace_file(path, b"new", before=refuse)
    assert (path.read_text(), [each.name for each in path.parent.iterdir()]) == ("old", ["flags.toml"])
