"""`insula new system|module|slice`: writes a start that runs and is tested."""

from __future__ import annotations

import keyword
import re
from pathlib import Path
from string import Template
from typing import Annotated

import typer
from rich.console import Console

from insula.cli import templates
from insula.cli.options import DryRun
from insula.cli.output import explained
from insula.kernel.errors import ConfigurationError

new = typer.Typer(no_args_is_help=True, help="Write a new system, module or slice, with its test.")

_NAME = re.compile(r"[a-z][a-z0-9_]*")


@new.command()
@explained
def system(name: Annotated[str, typer.Argument(help="Like booking: becomes a folder and a package.")],
           dry_run: DryRun = False) -> None:  # fmt: skip
    """Write a system of one module, with its configuration and a test.

    Example: insula new system booking
    """
    root = Path(_checked(name))
    files = {
        root / "insula.toml": templates.CONFIGURATION,
        root / "pyproject.toml": templates.PROJECT,
        root / name / "__init__.py": templates.PACKAGE,
        root / name / "system.py": templates.SYSTEM,
        **_greetings(root / name),
    }
    _write(files, {"system": name, **_names("greetings", "say_hello")}, dry_run=dry_run)
    if not dry_run:
        Console().print(f"next: cd {name} && insula dev")


@new.command()
@explained
def module(path: Annotated[Path, typer.Argument(help="Like booking/rooms: a folder in the system's package.")],
           dry_run: DryRun = False) -> None:  # fmt: skip
    """Write a module: contract, tables, one slice and its test. Add it to the System yourself.

    Example: insula new module booking/rooms
    """
    name, package = _checked(path.name), _checked(path.parent.name)
    _write(_added(path.parent, name), {"system": package, **_names(name, name)}, dry_run=dry_run)
    if not dry_run:
        Console().print(
            f"next, in {path.parent}/system.py: from {package}.{name}.module import {name}, and add it to the System",
            soft_wrap=True, highlight=False,
        )  # fmt: skip


@new.command(name="slice")
@explained
def new_slice(path: Annotated[Path, typer.Argument(help="Like booking/rooms/book_room: a file in a module.")],
              dry_run: DryRun = False) -> None:  # fmt: skip
    """Write a slice: one feature in one file with its command, handler, route and test.

    Example: insula new slice booking/rooms/book_room
    """
    name = _checked(path.name.removesuffix(".py"))
    owner, package = _checked(path.parent.name), _checked(path.parent.parent.name)
    if not (path.parent / "module.py").is_file():
        raise ConfigurationError(
            f"{path.parent}: is no module (it has no module.py); write it with `insula new module`"
        )
    names = {"system": package, **_names(owner, name)}
    files = {
        path.parent / f"{name}.py": templates.SLICE_ALONE,
        path.parent.parent.parent / "tests" / owner / f"test_{name}.py": templates.SLICE_TEST,
    }
    _write(files, names, dry_run=dry_run)


def _greetings(package: Path) -> dict[Path, str]:
    folder = package / "greetings"
    return {
        folder / "__init__.py": templates.MODULE_PACKAGE,
        folder / "contract.py": templates.CONTRACT,
        folder / "module.py": templates.MODULE,
        folder / "say_hello.py": templates.SLICE,
        package.parent / "tests" / "greetings" / "test_say_hello.py": templates.MODULE_TEST,
    }


def _added(package: Path, name: str) -> dict[Path, str]:
    folder = package / name
    return {
        folder / "__init__.py": templates.MODULE_PACKAGE,
        folder / "contract.py": templates.ADDED_CONTRACT,
        folder / "module.py": templates.ADDED_MODULE,
        folder / "add.py": templates.ADDED_SLICE,
        package.parent / "tests" / name / f"test_add_to_{name}.py": templates.ADDED_TEST,
    }


def _names(module_name: str, slice_name: str) -> dict[str, str]:
    return {
        "module": module_name,
        "Module": _as_class(module_name),
        "slice": slice_name,
        "Command": _as_class(slice_name),
        "path": slice_name.replace("_", "-"),
    }


def _as_class(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise ConfigurationError(f"{name!r}: use lower-case letters, digits and _, beginning with a letter")
    return name


def _write(files: dict[Path, str], names: dict[str, str], *, dry_run: bool) -> None:
    """Write all files or none: an existing one is never overwritten."""
    there = [path for path in files if path.exists() and path.name != "__init__.py"]
    if there:
        raise ConfigurationError(f"{', '.join(map(str, there))}: exists already; nothing was written")
    for path, template in files.items():
        Console().print(f"{'would write' if dry_run else 'wrote'} {path}", highlight=False)
        if not dry_run and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(Template(template).substitute(names), encoding="utf-8")
