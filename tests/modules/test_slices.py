from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import pytest

from insula.kernel.errors import AssemblyError
from insula.modules import Module, System, assemble

MODULE = """
from insula.modules import Module
orders = Module("orders", slices="{package}", contract="{package}.contract")
"""
CONTRACT = """
from insula.messages import Command, Event
class PlaceOrder(Command[None]):
    customer: str
class OrderPlaced(Event):
    customer: str
"""
SLICE = """
from {package}.contract import PlaceOrder
from {package}.module import orders
@orders.handle(PlaceOrder)
async def place_order(command: PlaceOrder) -> None: ...
"""


class Files:
    """A package on disk, one for each test: file name -> text in which {package} is its name."""

    def __init__(self, directory: Path, package: str) -> None:
        self.package = package
        self._directory = directory / package
        self.write({"__init__.py": "", "module.py": MODULE, "contract.py": CONTRACT})

    def write(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            path = self._directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text.replace("{package}", self.package)))

    def module(self) -> Module:
        __import__(f"{self.package}.module")
        orders: Module = sys.modules[f"{self.package}.module"].orders
        return orders


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Files:
    monkeypatch.syspath_prepend(tmp_path)
    return Files(tmp_path, request.node.name)


def test_every_file_of_the_package_is_imported_also_in_folders(files: Files) -> None:
    files.write({"place_order.py": SLICE, "later/__init__.py": "", "later/cancel.py": "CANCELLED = True"})
    orders = files.module()
    assembly = assemble(System("shop", orders))
    assert [handler.name for _, handler in assembly.handlers.values()] == ["orders.place_order"]
    assert sys.modules[f"{files.package}.later.cancel"].CANCELLED


def test_all_messages_of_the_contract_and_the_slices_are_known(files: Files) -> None:
    files.write({"place_order.py": SLICE})
    orders = files.module()
    assembly = assemble(System("shop", orders))
    contract = sys.modules[f"{files.package}.contract"]
    assert assembly.messages == {"PlaceOrder": contract.PlaceOrder, "OrderPlaced": contract.OrderPlaced}
    assert assembly.owner(contract.OrderPlaced) is orders


def test_assembling_twice_declares_nothing_twice(files: Files) -> None:
    files.write({"place_order.py": SLICE})
    orders = files.module()
    assert assemble(System("shop", orders)).handlers == assemble(System("shop", orders)).handlers
    assert len(orders.declarations) == 1


def test_tests_that_stand_beside_the_slices_are_left_alone(files: Files) -> None:
    wrong = "raise RuntimeError('imported a test')"
    files.write(dict.fromkeys(("test_place.py", "place_test.py", "conftest.py", "tests/__init__.py"), wrong))
    files.write({"__main__.py": wrong})
    assert assemble(System("shop", files.module())).handlers == {}


def test_a_slice_that_fails_to_import_is_named_with_the_error_and_its_place(files: Files) -> None:
    files.write({"place_order.py": "\n\nimport no_such_package\n"})
    with pytest.raises(AssemblyError) as refused:
        assemble(System("shop", files.module()))
    text = str(refused.value)
    assert f"slice {files.package}.place_order of module 'orders'" in text
    assert "ModuleNotFoundError: No module named 'no_such_package'" in text
    assert "place_order.py:3)" in text
    assert isinstance(refused.value.__cause__, ModuleNotFoundError)


def test_a_slice_with_a_wrong_message_is_named_by_its_own_line_only(files: Files) -> None:
    files.write({"place_order.py": "from insula import Command\n\nclass Cancel(Command):\n    order: str\n"})
    with pytest.raises(AssemblyError) as refused:
        assemble(System("shop", files.module()))
    text = str(refused.value)
    assert text.count("place_order.py:3") == 1
    assert "insula/messages" not in text


def test_each_slice_that_fails_is_named_and_the_others_are_still_checked(files: Files) -> None:
    files.write(
        {
            "a_syntax.py": "def broken(:\n",
            "b_name.py": "unknown_name\n",
            "c_handler.py": SLICE.replace("-> None", "-> int"),
        }
    )
    with pytest.raises(AssemblyError) as refused:
        assemble(System("shop", files.module()))
    headline, syntax, name, handler = str(refused.value).split("\n  - ")
    assert "3 problems" in headline
    assert "a_syntax" in syntax
    assert "SyntaxError" in syntax
    assert "a_syntax.py:1)" in syntax
    assert "NameError: name 'unknown_name' is not defined" in name
    assert "return type: expected None, found int" in handler


def test_a_package_that_does_not_exist_is_named() -> None:
    with pytest.raises(AssemblyError, match="slice no_such_package_at_all of module 'orders'"):
        assemble(System("shop", Module("orders", slices="no_such_package_at_all")))


def test_slices_may_be_one_file(files: Files) -> None:
    files.write(
        {"place_order.py": SLICE, "module.py": MODULE.replace('slices="{package}"', 'slices="{package}.place_order"')}
    )
    assert len(assemble(System("shop", files.module())).handlers) == 1
