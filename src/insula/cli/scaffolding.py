"""`insula new system|module|slice`: writes a start that runs and is tested."""

from __future__ import annotations

import importlib.util
import keyword
import re
import sys
from pathlib import Path
from string import Template
from typing import Annotated

import typer

from insula.cli import templates
from insula.cli.options import DryRun
from insula.cli.output import explained, say
from insula.kernel.errors import ConfigurationError

new = typer.Typer(
    no_args_is_help=True,
    help="Write a new system, module or slice, with its test. Example: insula new system booking",
)

_NAME = re.compile(r"[a-z][a-z0-9_]*")


@new.command()
@explained
def system(name: Annotated[str, typer.Argument(help="Like booking: becomes a folder and a package.")],
           dry_run: DryRun = False) -> None:  # fmt: skip
    """Write a system of one module, with its configuration and a test.

    Example: insula new system booking
    """
    root = Path(_free(name))
    files = {
        root / "insula.toml": templates.CONFIGURATION,
        root / "pyproject.toml": templates.PROJECT,
        root / name / "__init__.py": templates.PACKAGE,
        root / name / "system.py": templates.SYSTEM,
        **_greetings(root / name),
    }
    _write(files, {"system": name, **_names("greetings", "say_hello")}, dry_run=dry_run)
    if not dry_run:
        say(f"next: cd {name} && insula dev")


@new.command()
@explained
def module(path: Annotated[Path, typer.Argument(help="Like booking/rooms: a folder in the system's package.")],
           dry_run: DryRun = False) -> None:  # fmt: skip
    """Write a module: contract, tables, one slice and its test. Add it to the System yourself.

    Example: insula new module booking/rooms
    """
    _check_depth(path, "booking/rooms", 2)
    name, package = _checked(path.name), _checked(path.parent.name)
    if not (path.parent / "__init__.py").is_file():
        raise ConfigurationError(
            f"{path.parent.absolute()}: is no package (it has no __init__.py); stand in the folder that holds the "
            "system's package, where insula.toml is"
        )
    _write(_added(path.parent, name), {"system": package, **_names(name, name)}, dry_run=dry_run)
    if not dry_run:
        say(f"next, in {path.parent}/system.py: from {package}.{name}.module import {name}, and add it to the System")


@new.command(name="slice")
@explained
def new_slice(path: Annotated[Path, typer.Argument(help="Like booking/rooms/book_room: a file in a module.")],
              dry_run: DryRun = False) -> None:  # fmt: skip
    """Write a slice: one feature in one file with its command, handler, route and test.

    Example: insula new slice booking/rooms/book_room
    """
    _check_depth(path, "booking/rooms/book_room", 3)
    name = _checked(path.name.removesuffix(".py"))
    owner, package = _checked(path.parent.name), _checked(path.parent.parent.name)
    if not (path.parent / "module.py").is_file():
        raise ConfigurationError(
            f"{path.parent.absolute()}: is no module (it has no module.py); write it with `insula new module`"
        )
    imports = sorted(
        f"from {package}.{owner}.{file} import {what}" for file, what in (("module", owner), (name, _as_class(name)))
    )
    names = {"system": package, "imports": "\n".join(imports), **_names(owner, name)}
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
        "own": ", ".join(sorted(("entries", module_name))),
        "path": slice_name.replace("_", "-"),
    }


def _as_class(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ConfigurationError(f"{name!r}: use lower-case letters, digits and _, beginning with a letter")
    if keyword.iskeyword(name) or keyword.issoftkeyword(name):
        raise ConfigurationError(f"{name!r}: is a word of the Python language; choose another name")
    return name


def _free(name: str) -> str:
    """A name for a package of its own, which must not stand in the way of another of that name."""
    _checked(name)
    if Path(name).exists():
        raise ConfigurationError(f"{Path(name).absolute()}: exists already; choose another name or folder")
    if name in sys.stdlib_module_names:
        raise ConfigurationError(f"{name!r}: is a module of Python's own, and would hide it; choose another name")
    if importlib.util.find_spec(name) is not None:
        raise ConfigurationError(f"{name!r}: is an installed package, and would hide it; choose another name")
    return name


def _check_depth(path: Path, example: str, depth: int) -> None:
    if len(path.parts) < depth:
        raise ConfigurationError(f"{path}: write all of it, like {example}, from the folder where insula.toml is")


def _write(files: dict[Path, str], names: dict[str, str], *, dry_run: bool) -> None:
    """Write all files or none: an existing one is never overwritten."""
    there = [path for path in files if path.exists() and path.name != "__init__.py"]
    if there:
        raise ConfigurationError(f"{', '.join(map(str, there))}: exists already; nothing was written")
    for path, template in files.items():
        say(f"{'would write' if dry_run else 'wrote'} {path}")
        if not dry_run and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(Template(template).substitute(names), encoding="utf-8")
