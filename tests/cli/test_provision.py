"""`insula provision` prepares a server for a system, and `insula doctor` looks into what is there."""

from __future__ import annotations

from pathlib import Path

from insula.runtime.local.postgres import LocalPostgres
from support.processes import ROOT, running, tool


def insula(*arguments: str, environment: dict[str, str] | None = None) -> tuple[int, str]:
    """Exit code and output of one command."""
    done = tool("-m", "insula.cli", *arguments, environment=environment)
    return done.returncode, done.stdout + done.stderr


def test_a_system_runs_on_what_was_provisioned_for_it(tmp_path: Path, postgres_server: LocalPostgres) -> None:
    (tmp_path / "password").write_text("their own\n")
    where = f"127.0.0.1:{postgres_server.port}"
    environment = {
        "INSULA_STORE_ADDRESS": f"postgresql://hello_{{module}}@{where}/hello_{{module}}",
        "INSULA_STORE_PASSWORD_FILE": str(tmp_path / "password"),
        "INSULA_STORE_DIRECTORY": str(tmp_path / "data"),
    }
    code, told = insula("doctor", "hello:shop", environment=environment)
    assert code == 1
    assert "refused" in told
    make = ("provision", "hello:shop", "--administrator", postgres_server.address)
    code, told = insula(*make, environment=environment)
    assert (code, "orders: made database hello_orders" in told) == (0, True), told
    assert insula(*make, environment=environment) == (0, "nothing is missing\n")
    with running(tmp_path / "data", target="hello:shop", cwd=ROOT / "examples", environment=environment) as system:
        assert f"data in postgresql://{where}, a database for each module" in system.output.read_text()
        assert system.stop() == 0
    code, told = insula("doctor", "hello:shop", environment=environment)
    assert code == 0, told


def test_files_need_no_provisioning() -> None:
    code, told = insula("provision", "hello:shop", "--administrator", "postgresql://x@localhost/x")
    assert code != 0
    assert "store.address is not set" in told


def test_the_help_names_the_settings_it_is_about() -> None:
    code, told = insula("provision", "--help")
    assert code == 0
    assert "store.address" in told
    assert "store.password_file" in told
