"""`insula check` sees policies that do not do what they look like."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from insula.cli.main import application

SYSTEM = """
from insula import Module, Query, System
from {name}.gateway import payments

shop = Module('shop')

class Charge(Query[int]): ...

@shop.handle(Charge)
@payments
async def charge(query: Charge) -> int:
    return 1

system = System('planted', shop)
"""
SOUND = """
from insula.resilience import CircuitBreaker, ResiliencePipeline, Retry, Timeout

attempts = ResiliencePipeline(Retry(on=(ConnectionError, TimeoutError)), CircuitBreaker())
payments = ResiliencePipeline(Timeout(2), attempts)
"""
LAZY = """
class Lazy:
    @property
    def __class__(self):
        raise RuntimeError('asked too early')

lazy = Lazy()
"""


def check(folder: Path, name: str, gateway: str, *arguments: str) -> tuple[int, str, str]:
    package = folder / name
    package.mkdir()
    for file, text in {"__init__": "", "gateway": gateway, "system": SYSTEM}.items():
        (package / f"{file}.py").write_text(text.replace("{name}", name))
    result = CliRunner().invoke(application, ["check", f"{name}.system:system", *arguments])
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_sound_pipeline_passes(here: Path) -> None:
    code, output, _ = check(here, "policies_sound", SOUND)
    assert (code, "No problems" in output) == (0, True)


def test_a_mistake_is_named_with_file_line_and_variable_once_however_often_it_is_imported(here: Path) -> None:
    mistake = SOUND.replace("(ConnectionError, TimeoutError)", "Exception")
    code, output, _ = check(here, "policies_mistaken", mistake, "--json")
    (problem,) = json.loads(output)["problems"]
    assert code == 1
    assert problem.startswith(f"payments ({here}/policies_mistaken/gateway.py:5): on= of Retry matches CircuitOpen")
    assert problem.endswith("[retry-of-open-circuit]")


def test_chaos_that_was_left_on_is_a_problem(here: Path) -> None:
    left_on = "from insula.resilience import Chaos\n\npayments = Chaos(0.1, error=OSError, enabled=True)\n"
    code, _, errors = check(here, "policies_chaotic", left_on)
    assert code == 1
    assert "payments (" in errors.replace("\n", " ")
    assert "[chaos-enabled]" in errors


def test_objects_that_stand_for_others_are_left_alone(here: Path) -> None:
    code, output, _ = check(here, "policies_lazy", LAZY + SOUND)
    assert (code, "No problems" in output) == (0, True)
