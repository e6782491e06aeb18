"""The cross-check: the same seed must give the same run in two interpreters that hash texts differently."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from insula.simulation.guards.answering import CURRENT_TEST, MODE, OUTPUT, SEEDS, TURN, Told, is_child, lines_file, turn
from insula.simulation.guards.line_trace import Line, lines_of
from insula.simulation.machine.places import owner_of

_HASH_SEEDS = ("1", "2")
_LAST_CHARACTERS = 400

Answer = dict[int, Told]


@dataclass(frozen=True, slots=True)
class Child:
    """How to start an interpreter that comes to the same simulation.

    Parameters: `command`; `folder` in which it runs; `turn`, which simulation of that process is meant, from 1.
    """

    command: Sequence[str]
    folder: Path
    turn: int = 1


@dataclass(frozen=True, slots=True)
class Difference:
    """A seed that runs otherwise in another interpreter.

    Parameters: `seed`; `happening`, the first that differs; `cause`, the first line of the user's code that differs.
    """

    seed: int
    happening: str
    cause: str

    def __str__(self) -> str:
        return f"seed {self.seed} runs otherwise in another interpreter: {self.happening}. {self.cause}"


@dataclass(frozen=True, slots=True)
class CrossCheck:
    """What came of a cross-check.

    Parameters: `difference`, None if there is none; `skipped`, why nothing was compared, None if it was.
    """

    difference: Difference | None = None
    skipped: str | None = None


def child_of_target(target: str) -> Child:
    """For a simulation that can be imported: `package.module:name`."""
    return Child([sys.executable, "-m", "insula.simulation.guards.child", target], Path.cwd())


def child_of_test() -> Child | None:
    """For the simulation that the running pytest test has begun; None where no test runs."""
    node = os.environ.get(CURRENT_TEST, "").rpartition(" ")[0]
    file = node.partition("::")[0]
    folder = next((each for each in (Path.cwd(), *Path.cwd().parents) if (each / file).is_file()), None)
    if not node or folder is None:
        return None
    return Child([sys.executable, "-m", "pytest", node, "-q", "-p", "no:cacheprovider"], folder, turn())


def cross_check(child: Child | None, seeds: Sequence[int]) -> CrossCheck:
    """Run seeds in two interpreters with different PYTHONHASHSEED, and say where the first that differs does so.

    Parameters: `child`, how to start one; None where that is not known.
    """
    if is_child():
        return CrossCheck(skipped="this process is itself one half of a cross-check")
    if child is None:
        return CrossCheck(
            skipped="the cross-check was skipped: another interpreter only comes to a simulation that is a name in a "
            "module (insula simulate package.module:name) or in a pytest test"
        )
    with tempfile.TemporaryDirectory(prefix="insula-cross-check-") as folder:
        outputs = [Path(folder) / f"{number}.json" for number in _HASH_SEEDS]
        try:
            first, second = _ask(child, "digest", seeds, outputs)
            differing = [seed for seed in seeds if first[seed].digest != second[seed].digest]
            if not differing:
                return CrossCheck()
            seed = differing[0]
            traced = _ask(child, "trace", [seed], outputs)
        except _NoAnswer as error:
            return CrossCheck(skipped=f"the cross-check was skipped: {error}")
        happening = _first_happening(traced[0][seed].story, traced[1][seed].story)
        return CrossCheck(Difference(seed, happening, _first_line(*map(lines_file, outputs))))


class _NoAnswer(Exception):
    pass


def _ask(child: Child, mode: str, seeds: Sequence[int], outputs: Sequence[Path]) -> list[Answer]:
    """Start both children at once, and read what they answer. Raises _NoAnswer."""
    running = []
    for number, output in zip(_HASH_SEEDS, outputs, strict=True):
        output.unlink(missing_ok=True)
        asked = {
            MODE: mode, SEEDS: ",".join(map(str, seeds)), OUTPUT: str(output), TURN: str(child.turn),
            "PYTHONHASHSEED": number, "PYTHONPATH": os.pathsep.join(_own_path()),
        }  # fmt: skip
        running.append(
            subprocess.Popen(  # noqa: S603 - the interpreter that runs this
                child.command, cwd=child.folder, env={**_environment(), **asked}, text=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )
        )  # fmt: skip
    said = [each.communicate()[0] for each in running]
    for output, text, each in zip(outputs, said, running, strict=True):
        if not output.exists():
            raise _NoAnswer(
                f"the other interpreter ended with {each.returncode} and without an answer: "
                f"…{text.strip()[-_LAST_CHARACTERS:]}"
            )
    return [msgspec.json.decode(output.read_bytes(), type=Answer) for output in outputs]


def _environment() -> Mapping[str, str]:
    """This process's, without what tells pytest that it is one of several workers."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_XDIST", CURRENT_TEST))}


def _own_path() -> list[str]:
    """Where this interpreter finds modules, apart from where every one does."""
    return [each or str(Path.cwd()) for each in sys.path if owner_of(f"{each or Path.cwd()}{os.sep}") == "user"]


def _first_happening(first: Sequence[str], second: Sequence[str]) -> str:
    for one, other in itertools.zip_longest(first, second, fillvalue="the end"):
        if one != other:
            return f"first “{one}” under one and “{other}” under the other"
    return "the same things happen, with other data or in processes that take turns otherwise"


def _first_line(first: Path, second: Path) -> str:
    """Say at which line of the user's code two traced runs part."""
    before: Line | None = None
    for one, other in itertools.zip_longest(lines_of(first), lines_of(second)):
        if one == other:
            before = one
            continue
        if one is None or other is None or one[:2] != other[:2]:
            after = "the beginning" if before is None else f"{before[0]}:{before[1]}"
            goes = [f"{line[0]}:{line[1]}" if line else "the end" for line in (one, other)]
            return f"After {after}, {goes[0]} comes next under one hash seed and {goes[1]} under another; {_HINT}"
        (file, line, here), (_, _, there) = one, other
        name = next(each for each in {**here, **there} if here.get(each) != there.get(each))
        values = [each.get(name, "as it was") for each in (here, there)]
        return f"{file}:{line}: {name} is {values[0]} under one hash seed and {values[1]} under another; {_HINT}"
    return "No line of your own differs in its plain variables: look for a set that is handed on as a whole"


_HINT = "a set or a hash decides, unless the audit names a clock or chance"
