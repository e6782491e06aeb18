"""python -m shop.audit as a command."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from insula.testing import Scenario
from shop.audit.__main__ import check
from shop.orders.contract import Line, PlaceOrder
from shop.system import shop


@pytest.fixture
def command() -> typer.Typer:
    app = typer.Typer()
    app.command()(check)
    return app


async def test_it_exits_with_0_where_all_holds_and_with_1_where_an_order_is_still_open(
    given: Any, command: typer.Typer
) -> None:
    async with Scenario(shop) as scenario:
        await given.a_shop(scenario)
        await scenario.call(PlaceOrder(customer_id="ann", lines=(Line(product_id="tea", quantity=4),)))
        arguments = ["--directory", scenario._folder.name, "--patience", "0", "--json"]
        before = await asyncio.to_thread(CliRunner().invoke, command, arguments)
        await scenario.settle()
        after = await asyncio.to_thread(CliRunner().invoke, command, arguments)
        shown = await asyncio.to_thread(CliRunner().invoke, command, arguments[:-1])
    assert (before.exit_code, json.loads(before.stdout)["holds"]) == (1, False)
    assert (after.exit_code, json.loads(after.stdout)["holds"]) == (0, True)
    assert "stock received = left" in shown.stdout


def test_it_exits_with_2_where_there_is_nothing_to_read(tmp_path: Path, command: typer.Typer) -> None:
    result = CliRunner().invoke(command, ["--directory", str(tmp_path)])
    assert result.exit_code == 2
    assert "no such file" in result.stderr


def test_its_help_has_an_example(command: typer.Typer) -> None:
    assert "Example: python -m shop.audit" in CliRunner().invoke(command, ["--help"]).stdout
