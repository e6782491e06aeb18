"""`insula up` runs a topology on this machine: real processes and servers, found by the tools, none left behind."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from support.processes import environment_of, pause, tool
from support.topologies import RunningTopology, free_ports, json_of, up


def hello(first_port: int) -> str:
    """The configuration of the hello of the README, a process for each of its two modules."""
    return (
        f'system = "hello:shop"\n[topology.apart]\ndatabase = "local"\ntransport = "local"\nfirst_port = {first_port}\n'
    )


@pytest.fixture(scope="module")
def apart() -> Iterator[RunningTopology]:
    with up("apart", hello(free_ports(2))) as topology:
        yield topology


def ask(url: str, body: object = None) -> object:
    """A request to a running process."""
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(url, data, {"content-type": "application/json"}), timeout=20) as answer:
        return json.loads(answer.read() or b"null")


def becomes(expected: object, look: Callable[[], object]) -> None:
    """Wait until something is as expected."""
    for _ in range(400):
        try:
            found = look()
        except OSError as error:
            found = error
        if found == expected:
            return
        pause(0.05)
    raise AssertionError(f"{found!r} never became {expected!r}")


def test_each_process_answers_for_all_modules(apart: RunningTopology) -> None:
    ask(f"{apart.url('loyalty')}/orders", {"customer": "ann", "euros": 40})
    becomes(40, lambda: ask(f"{apart.url('orders')}/points/ann"))


def test_tools_find_every_process_and_its_data(apart: RunningTopology) -> None:
    ask(f"{apart.url('orders')}/orders", {"customer": "bob", "euros": 41})
    becomes(41, lambda: ask(f"{apart.url('loyalty')}/points/bob"))
    status = json_of(apart, "status")
    assert [(each["process"], each["module"]) for each in status["modules"]] == [
        ("loyalty", "loyalty"), ("orders", "orders"),
    ]  # fmt: skip
    assert status["ready"]
    tail = tool("-m", "insula.cli", "events", "tail", "hello:shop", "--json", "--directory", str(apart.data))
    assert '"customer":"bob"' in tail.stdout, tail.stderr
    assert json_of(apart, "dead-letters", "list", "hello:shop") == []


def test_a_process_that_is_killed_is_started_again(apart: RunningTopology) -> None:
    presence = json.loads((apart.data / "processes" / "loyalty" / "process.json").read_bytes())
    os.kill(presence["pid"], signal.SIGKILL)
    ask(f"{apart.url('orders')}/orders", {"customer": "cid", "euros": 42})
    becomes(42, lambda: ask(f"{apart.url('loyalty')}/points/cid"))
    assert "│ ended with SIGKILL; starting again at once" in apart.said()


def test_a_process_that_does_not_answer_is_told_beside_what_the_others_tell(apart: RunningTopology) -> None:
    file = apart.data / "processes" / "ghost" / "process.json"
    file.parent.mkdir()
    gone = {"pid": os.getpid(), "url": f"http://127.0.0.1:{free_ports(1)}", "token": "x", "name": "ghost"}
    file.write_text(json.dumps(gone))
    try:
        status = json_of(apart, "status")
    finally:
        file.unlink()
    assert [each["process"] for each in status["silent"]] == ["ghost"]
    assert not status["ready"]
    assert {each["process"] for each in status["modules"]} == {"orders", "loyalty"}


def test_the_whole_system_does_not_run_beside_its_parts(apart: RunningTopology) -> None:
    beside = tool("-m", "insula.cli", "run", "hello:shop", "--directory", str(apart.data), "--port", "0")
    assert beside.returncode == 2
    assert "`insula up` runs topology apart" in " ".join(beside.stderr.split())


@pytest.mark.parametrize("server", ["nats", "postgres"])
def test_a_server_that_is_killed_is_started_again(apart: RunningTopology, server: str) -> None:
    found = subprocess.run(
        ["pgrep", "-f", str(apart.data / "servers" / server)], capture_output=True, text=True, check=True
    )
    customer = f"after {server}".replace(" ", "-")
    os.kill(int(found.stdout.split()[0]), signal.SIGKILL)
    becomes(True, lambda: re.search(rf"^{server} +│ is ready again", apart.said(), re.MULTILINE) is not None)
    becomes(None, lambda: ask(f"{apart.url('orders')}/orders", {"customer": customer, "euros": 43}) and None)
    becomes(True, lambda: ask(f"{apart.url('loyalty')}/points/{customer}") in (43, 86))


def test_a_second_one_on_the_same_data_is_refused(apart: RunningTopology) -> None:
    again = tool("-m", "insula.cli", "up", "hello:shop", "--directory", str(apart.data))
    assert again.returncode == 2
    assert f"`insula up` runs here already, as process {apart.process.pid}" in " ".join(again.stderr.split())


def test_nothing_outlives_it_however_it_ends() -> None:
    with up("apart", hello(free_ports(2))) as topology:
        urls = [topology.url(name) for name in ("orders", "loyalty")]
        servers = json.loads((topology.data / "servers" / "addresses.json").read_bytes())
        ports = [int(text.rpartition(":")[2].partition("/")[0]) for text in (*urls, servers["transport"])]
        ports.append(int(servers["database"].rpartition(":")[2].partition("/")[0]))
        topology.kill()
        becomes([], lambda: [port for port in ports if answers(port)])
        topology.start()  # nothing that was left is in the way


def test_what_an_earlier_one_left_is_not_taken_for_one_that_runs() -> None:
    with up("apart", hello(free_ports(2))) as topology:
        topology.kill()
        left = topology.data / "servers" / "addresses.json"
        told = json.loads(left.read_bytes())
        left.write_text(json.dumps({**told, "pid": os.getpid()}))  # the number belongs to somebody else by now
        topology.start()


def test_one_that_is_refused_leaves_what_runs_alone(apart: RunningTopology) -> None:
    told = apart.data / "servers" / "addresses.json"
    before = told.read_bytes()
    told.unlink()  # the other one has not got so far yet
    try:
        again = start_up(apart.data, hello(free_ports(2)), apart.folder / "again.toml")
        _, errors = again.communicate(timeout=60)
        assert (again.returncode, "runs here already" in " ".join(errors.split())) == (2, True), errors
    finally:
        told.write_bytes(before)


def start_up(data: Path, configuration: str, file: Path) -> subprocess.Popen[str]:
    """`insula up` of a configuration."""
    file.write_text(configuration)
    command = [sys.executable, "-m", "insula.cli", "up", "--topology", "apart", "--config", str(file)]
    return subprocess.Popen(
        [*command, "--directory", str(data)], cwd=file.parent, env=environment_of({}), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


@pytest.mark.parametrize("sign", ["data*/PG_VERSION", "log"])
def test_a_signal_while_servers_start_leaves_none_behind_and_nothing_in_the_way(sign: str) -> None:
    with tempfile.TemporaryDirectory(prefix="insula-up-", ignore_cleanup_errors=True) as folder:
        os.chmod(folder, 0o755)
        topology = RunningTopology(Path(folder), "apart", hello(free_ports(2)), {})
        servers = topology.data / "servers"
        starting = start_up(topology.data, topology.config.read_text(), topology.config)
        while not any(file.stat().st_size for file in servers.glob(f"postgres/{sign}")):
            assert starting.poll() is None
            pause(0.001)
        starting.send_signal(signal.SIGTERM)
        starting.communicate(timeout=60)
        becomes([], lambda: running_in(servers))
        topology.start()
        assert topology.stop() == 0


def running_in(folder: Path) -> list[str]:
    """What runs with a folder in its command line."""
    return subprocess.run(
        ["pgrep", "-f", str(folder)], capture_output=True, text=True, check=False
    ).stdout.split()  # fmt: skip


def answers(port: int) -> bool:
    """Whether anybody listens there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_port_that_is_taken_is_told_before_anything_starts(tmp_path: Path) -> None:
    first = free_ports(2)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", first + 1))
        taken.listen()
        (tmp_path / "insula.toml").write_text(hello(first))
        done = subprocess.run(
            [sys.executable, "-m", "insula.cli", "up", "--topology", "apart", "--directory", str(tmp_path / "data")],
            cwd=tmp_path, env=environment_of({}), capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
    assert done.returncode == 2
    assert f"{first + 1}" in done.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["run", "hello:shop", "--topology", "services"], "has 2 processes; name the one to run with --only"),
        (["run", "hello:shop", "--topology", "services", "--only", "orders"], "starts; start it, or write addresses"),
        (["run", "hello:shop", "--topology", "services", "--only", "order"], "did you mean orders?"),
        (["run", "hello:shop", "--only", "orders"], "add --topology"),
        (["run", "hello:shop", "--topology", "services", "--port", "1"], "the topology says where"),
        (["up", "hello:shop", "--topology", "service"], "did you mean services?"),
    ],
)
def test_what_cannot_be_run_is_told_in_one_line(arguments: list[str], told: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "insula.cli", *arguments], cwd=tmp_path, env=environment_of({}), capture_output=True,
        text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert told in " ".join(done.stderr.split())
