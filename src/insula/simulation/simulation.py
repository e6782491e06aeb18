"""What to simulate, as a value; and one run of it."""

from __future__ import annotations

import copy
import gc
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal

from insula.kernel.errors import ConfigurationError
from insula.modules import Assembly, Module, System
from insula.runtime.configuration import Configuration
from insula.runtime.wiring import assembled
from insula.simulation.choices import Choice, Choices, Plan
from insula.simulation.faults import chances_of, weights_of
from insula.simulation.invariants import Invariant
from insula.simulation.machine.ground import Happening, Violation
from insula.simulation.mistakes import check_assembled, check_given, check_replicas
from insula.simulation.setting import Mutation, Setting
from insula.simulation.standard import STANDARD, WITHOUT_DEAD_LETTERS
from insula.simulation.workload import Workload
from insula.simulation.world import World

Topology = Literal["together", "apart"] | Mapping[str, Sequence[Module]]
_MEMORY = Path("/dev/shm")  # noqa: S108 - a file system in memory, used through mkdtemp
_YOUNGEST, _OLDEST = 0, 2  # of the garbage collector's generations
_RUNS_BETWEEN_FULL_COLLECTIONS = 64


@dataclass(frozen=True)
class Simulation:
    """A system, what its users do, and what must hold.

    Parameters: `system`; `workload`, messages to send or a function of a `Client`; `invariants`; `setup`, a workload
    that is carried out once, without faults, before everything else; `topology`, "together" all modules in one process,
    "apart" (default) a process for each, or process name -> modules; `replicas`, process name -> how many there are
    alike, which share their databases (default 1); `ports`, port -> a class or function that makes
    what stands for the system outside, once; each run gets a deep copy of it as the setup left it; `refusals`, port ->
    exceptions by which it may say no; `faults`, kind -> weight, 1 by default, 0 to switch it off; `configuration` of
    the system; `dead_letters_allowed`, whether messages may be given up (default False: that is a violation).
    Raises ConfigurationError naming the parameter that cannot be meant so.
    """

    system: System
    workload: Workload
    invariants: Sequence[Invariant] = ()
    setup: Workload = ()
    topology: Topology = "apart"
    ports: Mapping[type, Callable[[], Any]] = field(default_factory=dict)
    refusals: Mapping[type, Sequence[Exception]] = field(default_factory=dict)
    faults: Mapping[str, float] = field(default_factory=dict)
    configuration: Configuration = field(default_factory=Configuration)
    dead_letters_allowed: bool = False
    replicas: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_given(self)
        self.processes()

    def processes(self) -> list[tuple[str, list[str]]]:
        """The processes and their modules; replicas are numbered. Raises ConfigurationError as `groups`."""
        groups = self.groups()
        check_replicas(self.replicas, [name for name, _ in groups])
        found = []
        for name, modules in groups:
            count = self.replicas.get(name, 1)
            found += [(name if count == 1 else f"{name}-{number}", modules) for number in range(1, count + 1)]
        return found

    def groups(self) -> list[tuple[str, list[str]]]:
        """The kinds of process and their modules. Raises ConfigurationError for a module in none or several."""
        modules = [module.name for module in self.system.modules]
        if self.topology == "together":
            return [(self.system.name, modules)]
        if self.topology == "apart":
            return [(name, [name]) for name in modules]
        if isinstance(self.topology, str):
            raise ConfigurationError(f'topology={self.topology!r}: "together", "apart" or a mapping is expected')
        groups = [(name, [module.name for module in members]) for name, members in self.topology.items()]
        placed = Counter(name for _, members in groups for name in members)
        wrong = [name for name in modules if placed[name] != 1]
        if wrong:
            raise ConfigurationError(f"topology: {', '.join(wrong)} must be in exactly one process")
        return groups


@dataclass(frozen=True)
class Outcome:
    """What one run came to.

    Parameters: `seed`; `plan`, every choice that was made; `violation`, None if everything held; `digest` of the whole
    story; `story`; `operations`, in the order in which they began; `reached`, handlers -> commits; `seen`, the
    `sometimes` that were true; `offered`, faults that could have struck; `services`, the
    processes; `idle`, whether the workload neither asked for anything nor let time pass.
    """

    seed: int
    plan: Plan
    violation: Violation | None
    digest: str
    story: Sequence[Happening]
    operations: Sequence[str]
    reached: Counter[str]
    seen: frozenset[str]
    offered: Mapping[Choice, Callable[[float], object]]
    services: Sequence[str]
    idle: bool = False


class Stage:
    """Where runs of one simulation take place: the system assembled, databases and stand-ins as `setup` left them."""

    def __init__(self, simulation: Simulation, folder: Path) -> None:
        self.simulation = simulation
        self.weights = weights_of(simulation.faults)
        self.assembly: Assembly = assembled(simulation.system)
        check_assembled(simulation, self.assembly)
        self._processes = simulation.processes()
        self._folder = folder
        self._runs = 0
        self._begins = 0.0
        self._template = folder / "template"
        self._invariants = (*simulation.invariants, *STANDARD)
        if not simulation.dead_letters_allowed:
            self._invariants = (*self._invariants, WITHOUT_DEAD_LETTERS)
        self._set_up()

    def _set_up(self) -> None:
        self._template.mkdir()
        self._stand_ins = {port: make() for port, make in self.simulation.ports.items()}
        world = World(
            self._setting(self._template, self._stand_ins), Choices(0, {}), STANDARD, self._processes, 0.0, "of setup "
        )
        world.run(self.simulation.setup, tidy=True)
        if world.violation is not None:
            raise ConfigurationError(f"the setup fails even without faults: {world.violation}")
        self.reached_by_setup = world.reached
        if world.client.rejections:
            raise ConfigurationError(f"the setup is refused: {world.client.rejections[0]}")
        if self.simulation.setup and world.client.idle:
            raise ConfigurationError("setup: it asked for nothing; is an `await` missing before client.call(...)?")
        self._begins = float(int(world.loop.time()) + 1)
        self._left_by_setup = {file.name: file.read_bytes() for file in self._template.glob("*.db")}
        self._copied_stand_ins()  # what cannot be copied is told now, and not by a worker

    def _copied_stand_ins(self) -> dict[type, Any]:
        """Stand-ins as the setup left them, which fit the databases it left; what they share, the copies share too."""
        copies: dict[type, Any] = {}
        shared: dict[int, Any] = {}
        for port, stand_in in self._stand_ins.items():
            try:
                copies[port] = copy.deepcopy(stand_in, shared)
            except Exception as error:  # whatever the copying of somebody's object raises
                raise ConfigurationError(
                    f"ports: what stands for {port.__name__} ({type(stand_in).__name__}) cannot be copied for each "
                    f"run: {type(error).__name__}: {error}; keep plain data in it, or give it a __deepcopy__"
                ) from error
        return copies

    def _setting(self, directory: Path, stand_ins: Mapping[type, Any], mutation: Mutation | None = None) -> Setting:
        return Setting(
            self.assembly, self.simulation.configuration, directory, stand_ins, self.simulation.refusals,
            None if mutation is None else mutation.begin(),
        )  # fmt: skip

    def run(self, seed: int, plan: Plan | None = None, mutation: Mutation | None = None) -> Outcome:
        """One run, by seed or by plan; with a `mutation`, which no other run sees, of a framework broken that way."""
        self._runs += 1
        gc.collect(_OLDEST if self._runs % _RUNS_BETWEEN_FULL_COLLECTIONS == 0 else _YOUNGEST)  # what the last run left
        directory = self._fresh_copy()
        stand_ins = self._copied_stand_ins()
        choices = Choices(seed, {} if plan is not None else chances_of(seed, self.weights), plan)
        world = World(
            self._setting(directory, stand_ins, mutation), choices, self._invariants, self._processes, self._begins
        )
        world.run(self.simulation.workload)
        return _outcome(world, seed, choices)

    def _fresh_copy(self) -> Path:
        """The databases as the setup left them, and nothing of the run before."""
        directory = self._folder / f"run-{os.getpid()}"  # forked workers share the folder
        directory.mkdir(exist_ok=True)
        for left in os.listdir(directory):
            if left not in self._left_by_setup:
                (directory / left).unlink()
        for name, content in self._left_by_setup.items():
            (directory / name).write_bytes(content)
        return directory


def _outcome(world: World, seed: int, choices: Choices) -> Outcome:
    digest = blake2b(digest_size=8)
    for each in world.story:
        digest.update(f"{each.at}|{each.where}|{each.kind}|{each.what}\n".encode())
    digest.update(f"{world.loop.steps}/{world.loop.checksum}".encode())
    return Outcome(
        seed=seed,
        plan=Plan(seed, choices.taken, choices.dropped),
        violation=world.violation,
        digest=digest.hexdigest(),
        story=world.story,
        operations=world.client.operations,
        reached=world.reached,
        seen=frozenset(world.seen),
        offered=choices.offered,
        services=[service.name for service in world.services],
        idle=world.client.idle,
    )


@contextmanager
def stage(simulation: Simulation) -> Iterator[Stage]:
    """A stage on a file system in memory where there is one, taken down at the end."""
    memory = str(_MEMORY) if _MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="insula-simulation-", dir=memory) as folder:
        place = Stage(simulation, Path(folder))
        collecting, ours = gc.isenabled(), gc.get_freeze_count() == 0
        gc.disable()  # each run begins with a collection: it knows best when all of the last one is garbage
        if ours:  # what is there now stays, and is not looked at again and again
            gc.freeze()
        try:
            yield place
        finally:
            if ours:
                gc.unfreeze()
            if collecting:
                gc.enable()
