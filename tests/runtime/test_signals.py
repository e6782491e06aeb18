"""Stopping a real process: drain first, at once if asked twice."""

import signal
import threading
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

from support.processes import SystemProcess, pause, running

ENDLESS = """
import asyncio
from insula import Command, Module, System

class Wait(Command[None]): ...

waiting = Module("waiting")

@waiting.post("/wait")
@waiting.handle(Wait)
async def wait(command: Wait) -> None:
    print("begun", flush=True)
    await asyncio.Event().wait()

system = System("endless", waiting)
"""


def endless(folder: Path) -> SystemProcess:
    (folder / "endless.py").write_text(ENDLESS)
    return SystemProcess(folder / "data", target="endless:system", cwd=folder)


def test_one_ctrl_c_that_arrives_twice_still_drains(tmp_path: Path) -> None:
    """A terminal signals the whole group, and a supervisor such as `insula dev` passes it on once more."""
    with running(tmp_path / "data") as system:
        system.process.send_signal(signal.SIGINT)
        system.process.send_signal(signal.SIGINT)
        assert system.process.wait(30) == 0
        assert "has stopped" in system.output.read_text()
        assert not (tmp_path / "data" / "process.json").exists()


def test_a_second_signal_stops_at_once(tmp_path: Path) -> None:
    system = endless(tmp_path)
    system.start()
    try:
        request = Request(f"{system.url}/wait", data=b"{}", headers={"content-type": "application/json"})
        threading.Thread(target=answered, args=(request,), daemon=True).start()
        wait_for(system, "begun")
        system.process.send_signal(signal.SIGTERM)
        wait_for(system, "draining")
        assert system.process.poll() is None
        pause(0.4)  # sooner it counts as the same keystroke
        system.process.send_signal(signal.SIGTERM)
        assert system.process.wait(5) == 128 + signal.SIGTERM
    finally:
        system.kill()


def answered(request: Request) -> bool:
    try:
        return bool(urlopen(request, timeout=30).status)
    except (URLError, ConnectionError):
        return False


def wait_for(system: SystemProcess, word: str) -> None:
    for _ in range(200):
        if word in system.output.read_text():
            return
        pause(0.05)
    raise AssertionError(f"no {word!r} in:\n{system.output.read_text()}")
