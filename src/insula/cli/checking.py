"""`insula check`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from insula.boundaries import (
    CheckUnavailable,
    Crossing,
    Territory,
    compared,
    crossings,
    policy_problems,
    read_baseline,
    territories,
    write_baseline,
)
from insula.cli.flag_checks import check_flags
from insula.cli.options import Config, Json, Target
from insula.cli.output import FAILED, explained, print_json, say
from insula.cli.target import find_system
from insula.kernel.clock import SystemClock
from insula.kernel.errors import AssemblyError, ConfigurationError
from insula.modules import Assembly, System
from insula.runtime.configuration import Boundaries, Configuration, load
from insula.runtime.wiring import assembled, migration_problems

_BASELINE = Path("boundaries.txt")

Baseline = Annotated[bool, typer.Option("--baseline", help="Pass the imports past contracts that are listed.")]
Update = Annotated[bool, typer.Option("--update-baseline", help="List those that there are from now on.")]


class _Findings:
    """What a check has found. Parameters: `name`, of what is checked."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.heading = f"{name}: does not hold together"
        self.problems: list[str] = []
        self.notes: list[str] = []
        self.expired: list[str] = []
        self.known = 0
        self.summary: dict[str, Any] = {}


@explained
def check(
    target: Target = None, config: Config = None, as_json: Json = False, baseline: Baseline = False,
    update_baseline: Update = False,
) -> None:  # fmt: skip
    """Put the system together without starting it, and report every problem. Exit code 1 if there are any.

    A problem is what does not fit together, a migration that cannot be one, an import from one module's package past
    another's contract, and a resilience policy at the top of a file that does not do what it looks like. Feature flags
    that have expired are listed, which is no problem yet.
    `insula doctor` compares with the files that are there.

    Code without a System is checked for its imports alone: its modules and their packages stand in
    [boundaries.modules] of insula.toml. With --baseline those pass that are listed in boundaries.txt, or the file that
    [boundaries] names.

    Example: insula check shop.system:shop

    Example: insula check --update-baseline
    """
    configuration = load(config)
    settings = configuration.boundaries
    if target is None and not configuration.system and settings.modules:
        found = _Findings("the imports")
        found.heading = "imports past contracts"
        found.summary = {"modules": list(settings.modules)}
        among = _declared(settings)
        imports: Sequence[Crossing] | None = crossings(among)
    else:
        found, imports = _of_system(target, configuration)
    if imports is not None and (baseline or update_baseline):
        file = Path(settings.baseline) if settings.baseline else _BASELINE
        imports = _ratcheted(found, imports, file, update=update_baseline)
    found.problems += [str(crossing) for crossing in imports or ()]
    flags = check_flags(configuration, SystemClock().now().date())
    found.problems += flags.problems
    found.notes += flags.not_checked
    found.expired += flags.expired
    _tell(found, as_json=as_json)


def _declared(settings: Boundaries) -> Sequence[Territory]:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    among = [
        Territory.of(name, each) if isinstance(each, str) else Territory.of(name, each.package, each.contract)
        for name, each in settings.modules.items()
    ]
    if len(among) < 2:
        raise ConfigurationError("[boundaries.modules] names one module; there are boundaries between two or more")
    return among


def _of_system(target: str | None, configuration: Configuration) -> tuple[_Findings, Sequence[Crossing] | None]:
    """What is wrong with a system, and its imports past contracts; None where they cannot be known yet."""
    system = find_system(target, configuration)
    found = _Findings(system.name)
    try:
        assembly = assembled(system)
    except AssemblyError as error:
        found.heading, *listed = str(error).splitlines()
        found.problems += [line.removeprefix("  - ") for line in listed]
        return found, None
    found.summary = _summary(assembly)
    found.problems += migration_problems(system)
    found.problems += [str(problem) for problem in policy_problems(system)]
    return found, _imports_of(system, found)


def _imports_of(system: System, found: _Findings) -> Sequence[Crossing]:
    try:
        return crossings(territories(system))
    except CheckUnavailable as error:
        found.notes.append(str(error))
        return ()


def _ratcheted(found: _Findings, imports: Sequence[Crossing], file: Path, *, update: bool) -> Sequence[Crossing]:
    """What is left of the imports once those that are known have passed."""
    if found.notes:
        raise CheckUnavailable(found.notes[0])  # an empty list would be written, or all of it seem to be gone
    if update:
        found.known = write_baseline(file, imports)
        found.notes.append(f"{file} lists {_imports(found.known)} past contracts; keep it with the code")
        return ()
    outcome = compared(imports, read_baseline(file), file)
    found.known = len(imports) - len(outcome.new)
    found.problems += outcome.gone
    return outcome.new


def _tell(found: _Findings, *, as_json: bool) -> None:
    if as_json:
        summary = {"system": found.name, **found.summary, "problems": found.problems, "not_checked": found.notes}
        print_json({**summary, "expired_flags": found.expired, "known_crossings": found.known})
    elif found.problems:
        say("\n  - ".join([found.heading, *found.problems]), stderr=True)
    else:
        counts = [f"{len(found.summary['modules'])} modules"]
        names = ("commands_and_queries", "events_heard", "routes")
        counts += [f"{found.summary[name]} {name.replace('_', ' ')}" for name in names if name in found.summary]
        if found.known:
            counts.append(f"{_imports(found.known, 'known ')} past contracts")
        say(f"{found.name}: {', '.join(counts)}. No problems.")
    if not as_json:
        for note in (*found.notes, *found.expired):
            say(f"Note: {note}", stderr=True)
    if found.problems:
        raise SystemExit(FAILED)


def _imports(count: int, which: str = "") -> str:
    return f"{count} {which}{'import' if count == 1 else 'imports'}"


def _summary(assembly: Assembly) -> dict[str, Any]:
    return {
        "modules": [module.name for module in assembly.system.modules],
        "commands_and_queries": len(assembly.handlers),
        "events_heard": len({declaration.message for _, declaration in assembly.consumers}),
        "routes": len(assembly.routes),
    }
