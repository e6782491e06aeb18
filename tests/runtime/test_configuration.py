"""Configuration is checked before anything starts, and errors say where and what."""

from __future__ import annotations

from pathlib import Path

import pytest

from insula.kernel.errors import ConfigurationError
from insula.runtime.configuration import Configuration, load


def written(folder: Path, text: str) -> Path:
    """A configuration file."""
    path = folder / "insula.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_without_a_file_everything_has_its_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load(environment={}) == Configuration()


def test_the_file_is_read_and_the_environment_overrides_it(tmp_path: Path) -> None:
    path = written(tmp_path, 'system = "a:b"\n[http]\nport = 9000\nhost = "127.0.0.2"\n')
    found = load(path, {"INSULA_HTTP_PORT": "9001", "INSULA_DELIVERY_FIRST_DELAY_SECONDS": "0.25", "HOME": "/x"})
    assert (found.system, found.http.host, found.http.port) == ("a:b", "127.0.0.2", 9001)
    assert found.delivery.first_delay_seconds == 0.25


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[htp]\nport = 1\n", "htp"),
        ("[http]\nprot = 1\n", "prot"),
        ('[http]\nport = "many"\n', "Expected `int`"),
        ("[http]\nport = 70000\n", "http.port"),
        ("[delivery]\nattempts = 0\n", "delivery.attempts"),
        ("[http\n", "insula.toml"),
        ("[http]\nprot = 1\n", "[http] has no key prot; did you mean port? There are host, port,"),
        ("[htp]\nport = 1\n", "the file has no key htp; did you mean http? There are system, http,"),
        ("[topology.a]\ndatabse = 'x'\n", "[topology.NAME] has no key databse; did you mean database?"),
        ("[topology.a.processes.b]\nmodules = ['c']\nreplica = 2\n", "has no key replica; did you mean replicas?"),
        ("[topology.a.processes.b]\nreplicas = 2\n", "missing required field `modules`"),
        ("[delivery]\nfirst_delay_seconds = 400\n", "longer than longest_delay_seconds, which is 300"),
    ],
)
def test_a_bad_file_is_refused_naming_file_key_and_expectation(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(ConfigurationError, match=r"insula\.toml") as refusal:
        load(written(tmp_path, text), {})
    assert expected in str(refusal.value)


@pytest.mark.parametrize("variable", ["INSULA_HTTP_PROT", "INSULA_NOTHING", "INSULA_HTTP_PORT"])
def test_a_bad_variable_is_refused_by_name(tmp_path: Path, variable: str) -> None:
    with pytest.raises(ConfigurationError, match=variable):
        load(written(tmp_path, ""), {variable: "many"})


def test_a_file_that_was_named_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no such file"):
        load(tmp_path / "other.toml", {})
