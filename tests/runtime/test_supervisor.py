"""The supervisor keeps real processes running beside each other, and leaves none behind."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from insula.runtime.supervisor import NotStarted, Program, Supervisor

SERVER = """
import asyncio, os, signal, sys
async def main(port):
    async def answer(reader, writer):
        await reader.readline()
        writer.write(b"HTTP/1.0 200 OK\\r\\n\\r\\n")
        writer.close()
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    if "deaf" in sys.argv:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lambda: None)
    async with await asyncio.start_server(answer, "127.0.0.1", port):
        print("my id is", os.getpid(), flush=True)
        await over.wait()
    print("drained", flush=True)
asyncio.run(main(int(sys.argv[1])))
"""


class Told:
    """What was said, by whom, and waiting for it."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []
        self._more = asyncio.Event()

    def __call__(self, name: str, line: str) -> None:
        self.lines.append((name, line))
        self._more.set()

    async def until(self, found: Callable[[str, str], bool], times: int = 1) -> str:
        """The line that is found the so many-eth time."""
        async with asyncio.timeout(20):
            while True:
                lines = [line for name, line in self.lines if found(name, line)]
                if len(lines) >= times:
                    return lines[times - 1]
                self._more.clear()
                await self._more.wait()


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def program(folder: Path, name: str, text: str = SERVER, *more: str) -> Program:
    """A program of one file."""
    file = folder / f"{name}.py"
    file.write_text(text, encoding="utf-8")
    port = free_port()
    return Program(name, [sys.executable, "-I", str(file), str(port), *more], port)


def alive(pid: int) -> bool:
    """Whether that process exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def runs(pid: int) -> bool:
    """Whether that process exists and is more than an entry that nobody has looked at."""
    found = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return found.stdout.strip() != "" and not found.stdout.startswith("Z")


async def test_all_are_started_their_lines_told_and_all_drained_at_the_end(tmp_path: Path) -> None:
    told = Told()
    supervisor = Supervisor([program(tmp_path, "one"), program(tmp_path, "two")], told)
    await supervisor.run(on_ready=supervisor.stop)
    for name in ("one", "two"):
        assert [line for who, line in told.lines if who == name][-1] == "drained"
    assert not any(alive(int(line.split()[-1])) for _, line in told.lines if line.startswith("my id"))


async def test_one_that_is_killed_is_started_again_and_the_others_do_not_notice(tmp_path: Path) -> None:
    told = Told()
    supervisor = Supervisor([program(tmp_path, "one"), program(tmp_path, "two")], told)
    running = asyncio.create_task(supervisor.run())

    def ids_of_one(name: str, line: str) -> bool:
        return name == "one" and line.startswith("my id")

    first = int((await told.until(ids_of_one)).split()[-1])
    await told.until(lambda name, line: name == "one" and line.startswith("is ready"))
    os.kill(first, signal.SIGKILL)
    await told.until(lambda name, line: name == "one" and line == "ended with SIGKILL; starting again at once")
    second = int((await told.until(ids_of_one, 2)).split()[-1])
    supervisor.stop()
    await running
    assert second != first
    assert len([line for name, line in told.lines if name == "two" and line.startswith("my id")]) == 1


async def test_one_that_cannot_run_at_all_ends_everything_with_a_word(tmp_path: Path) -> None:
    told = Told()
    refusing = program(tmp_path, "two", "print('no such module'); raise SystemExit(2)")
    with pytest.raises(NotStarted, match="two cannot run"):
        await Supervisor([program(tmp_path, "one"), refusing], told).run()
    assert ("two", "no such module") in told.lines
    assert not any(alive(int(line.split()[-1])) for _, line in told.lines if line.startswith("my id"))


async def test_one_that_is_never_ready_ends_everything_with_a_word(tmp_path: Path) -> None:
    silent = program(tmp_path, "silent", "import signal; print('waiting', flush=True); signal.pause()")
    with pytest.raises(NotStarted, match=r"silent was not ready within 0\.3 s"):
        await Supervisor([silent], Told(), ready_seconds=0.3).run()


async def test_a_program_that_is_not_there_is_told_by_name(tmp_path: Path) -> None:
    missing = Program("gone", [str(tmp_path / "gone")], free_port())
    with pytest.raises(NotStarted, match=r"gone: .*No such file"):
        await Supervisor([missing], Told()).run()


async def test_one_that_does_not_stop_is_killed(tmp_path: Path) -> None:
    told = Told()
    supervisor = Supervisor([program(tmp_path, "deaf", SERVER, "deaf")], told, stop_seconds=0.2)
    await supervisor.run(on_ready=supervisor.stop)
    assert told.lines[-1] == ("deaf", "did not stop within 0.2 s; killed")


async def test_a_line_without_an_end_does_not_stop_the_others(tmp_path: Path) -> None:
    told = Told()
    endless = "print('x' * 300_000, flush=True)\n" + SERVER
    supervisor = Supervisor([program(tmp_path, "endless", endless)], told)
    await supervisor.run(on_ready=supervisor.stop)
    assert told.lines[-1] == ("endless", "drained")


async def test_one_that_hangs_is_ended_and_started_again() -> None:
    told, port = Told(), free_port()
    program = Program("one", [sys.executable, "-c", SERVER, str(port)], port)
    supervisor = Supervisor([program], told, hung_seconds=1.0)
    running = asyncio.create_task(supervisor.run())
    line = await told.until(lambda _, line: line.startswith("my id is"))
    await told.until(lambda _, line: line.startswith("is ready"))
    os.kill(int(line.split()[-1]), signal.SIGSTOP)
    await told.until(lambda _, line: line == "has not answered for 1 s; ending it")
    await told.until(lambda _, line: line.startswith("is ready"), times=2)
    supervisor.stop()
    await running


async def test_one_that_is_alive_but_does_not_say_whether_it_is_ready_is_let_be_and_told_once() -> None:
    told, port = Told(), free_port()
    waiting = SERVER.replace(
        "        await reader.readline()\n",
        "        asked = await reader.readline()\n"
        "        main.asked = getattr(main, 'asked', 0) + (b'ready' in asked)\n"
        "        if b'ready' in asked and 1 < main.asked < 8:\n"
        "            return writer.close()\n",
    )
    supervisor = Supervisor([Program("one", [sys.executable, "-c", waiting, str(port)], port)], told, hung_seconds=0.4)
    running = asyncio.create_task(supervisor.run())
    await told.until(lambda _, line: line == "is ready again")
    supervisor.stop()
    await running
    lines = [line for _, line in told.lines]
    assert sum(line.startswith("is alive but not ready") for line in lines) == 1
    assert sum(line.startswith("my id is") for line in lines) == 1


async def test_one_that_ends_again_and_again_before_it_is_ready_ends_everything_with_a_word(tmp_path: Path) -> None:
    failing = program(tmp_path, "failing", "print('out of order', flush=True); raise SystemExit(1)")
    async with asyncio.timeout(20):
        with pytest.raises(NotStarted, match=r"failing was not ready within 1 s"):
            await Supervisor([failing], Told(), ready_seconds=1).run()


async def test_what_a_program_has_started_does_not_outlive_it_nor_keep_it_from_being_started_again(
    tmp_path: Path,
) -> None:
    told = Told()
    child = "import subprocess\nprint('child', subprocess.Popen(['sleep', '60']).pid, flush=True)\n"
    supervisor = Supervisor([program(tmp_path, "one", child + SERVER)], told)
    running = asyncio.create_task(supervisor.run())
    try:
        left = int((await told.until(lambda _, line: line.startswith("child"))).split()[-1])
        first = int((await told.until(lambda _, line: line.startswith("my id"))).split()[-1])
        os.kill(first, signal.SIGKILL)
        await told.until(lambda _, line: line.startswith("my id"), 2)
        assert not runs(left)
    finally:
        supervisor.stop()
        for line in [line for _, line in told.lines if line.startswith("child")]:
            with suppress(ProcessLookupError):
                os.kill(int(line.split()[-1]), signal.SIGKILL)
        await running
