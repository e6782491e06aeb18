"""One run as it is to be shown: its lanes, its lines in short words, its faults with their places."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from insula.simulation.choices import Choice
from insula.simulation.faults import FAULTS, described
from insula.simulation.machine.ground import Happening
from insula.simulation.simulation import Outcome

CLIENT, OUTSIDE = "client", "outside"

_LONGEST_CHARACTERS = 2000
_COMMIT = re.compile(r"\S+: commit of ")  # the handler's name begins with the module's
_SENTENCES = {
    "call": "{what}",
    "ask": "{what}",
    "told": "{what}",
    "answered": "{what} is answered",
    "commit": "{what}",
    "start": "starts again, {what}",
    "heal": "the faults stop; now everything has to come to rest",
    "deliver": "receives {what}",
    "violation": "{what}",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of the plan.

    Parameters: `number`, from 1 in the order of the plan; `kind`; `where` it strikes; `words`, what it does; `place`,
    the index of the line that shows it, None if the run never got there.
    """

    number: int
    kind: str
    where: str
    words: str
    place: int | None


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the story.

    Parameters: `index` in the scene; `happening`; `text`, short, without what lane and sign show already; `fault`, its
    number in the plan, 0 for none; `bad`, whether it is a fault or follows from one at once; `noise`, whether the
    framework did it for itself; `times` it happened in a row, until the second `last`; `source`, the index of the line
    that published what arrives here, or None.
    """

    index: int
    happening: Happening
    text: str
    fault: int
    bad: bool
    noise: bool
    times: int
    last: float
    source: int | None

    @property
    def speaker(self) -> str:
        """The service or client to name before the text, empty where the text names it or nobody is to be named."""
        where = self.happening.where
        return "" if where == OUTSIDE or self.text.startswith((f"{where}.", f"{where}: ", f"{where} ")) else where


@dataclass(frozen=True, slots=True)
class Operation:
    """What a user did: its name, the message, and how it ended."""

    name: str
    message: str
    end: str


@dataclass(frozen=True, slots=True)
class Scene:
    """What there is to show. `lanes` are the client and the services in which something is to be seen."""

    lanes: Sequence[str]
    lines: Sequence[Line]
    faults: Sequence[Fault]
    operations: Sequence[Operation]


def scene(outcome: Outcome) -> Scene:
    """Set a run out for showing."""
    numbers = {choice: number for number, choice in enumerate(outcome.plan.faults, 1)}
    lines = _lines(outcome, numbers)
    places: dict[int, int] = {}
    for line in lines:
        places.setdefault(line.fault, line.index)
    faults = [
        Fault(
            number, kind, tidy(_place(key)), tidy(described(kind, outcome.plan.choices[kind, key])), places.get(number)
        )
        for (kind, key), number in numbers.items()
    ]
    seen = {name for line in lines if not line.noise for name in (line.happening.where, *line.happening.services)}
    lanes = [name for name in (CLIENT, *outcome.services) if name in seen]
    return Scene(lanes, lines, faults, _operations(outcome))


def _place(key: str) -> str:
    """Where a fault strikes: its key, the module named once."""
    service, _, rest = key.partition(": ")
    if rest.startswith(("before ", "after ")):
        return f"{service}: {_COMMIT.sub('commit of ', rest)}"
    return key


def _lines(outcome: Outcome, numbers: dict[Choice, int]) -> list[Line]:
    """The story, with what a lasting fault does again and again told once."""
    repeated: dict[tuple[str, Choice], list[Happening]] = {}
    kept: list[Happening] = []
    for each in outcome.story:
        if each.choice is not None:
            same = repeated.setdefault((each.kind, each.choice), [])
            same.append(each)
            if len(same) > 1:
                continue
        kept.append(each)
    published: dict[str, int] = {}
    lines: list[Line] = []
    for index, each in enumerate(kept):
        if each.kind == "commit":
            published.update(dict.fromkeys(each.messages, index))
        arrives = each.messages[0] if each.messages and each.kind != "commit" else ""
        same = [] if each.choice is None else repeated[each.kind, each.choice]
        lines.append(
            Line(
                index=index,
                happening=each,
                text=tidy(_COMMIT.sub("commit of ", _words(each))),
                fault=0 if each.choice is None else numbers.get(each.choice, 0),
                bad=each.choice is not None or each.kind in FAULTS or each.kind == "failed",
                noise=each.kind == "commit" and "[" not in each.what,
                times=max(1, len(same)),
                last=same[-1].at if same else each.at,
                source=published.get(arrives),
            )
        )
    return lines


def _words(each: Happening) -> str:
    what, kind = each.what, each.kind
    before, _, after = what.partition(": ")
    if kind in ("deliver", "delay", "loss", "duplicate"):  # "orders → inventory: OrderPlaced[1]"
        what = f"{after} from {before.partition(' → ')[0]}"
    elif kind == "call":  # "client → orders: PlaceOrder[1]"
        what = f"{after} → {each.services[0]}"
    elif kind in ("ask", "told"):  # "orders asks customers: GetCustomer[1]"
        module = before.rpartition(" ")[2]
        what = f"{after} → {module}" if kind == "ask" else f"{module} answers {after}"
    elif kind in ("rejected", "failed") and each.where == CLIENT:
        return f"{before} {'is rejected' if kind == 'rejected' else 'gets no answer'}: {after}"
    elif kind == "abort":
        kind = each.choice[0] if each.choice else kind
    return _SENTENCES.get(kind, "{kind}: {what}").format(kind=kind.replace("-", " "), what=what)


def _operations(outcome: Outcome) -> list[Operation]:
    """The operations that took place, with their last word."""
    found: list[Operation] = []
    calls = [each for each in outcome.story if each.where == CLIENT]
    for name in dict.fromkeys(outcome.operations):
        mark = f"[{name}]"
        first = next((each for each in calls if each.kind == "call" and mark in each.what), None)
        if first is None or name in outcome.plan.dropped:
            continue
        label = first.what.partition(": ")[2]
        message = first.detail if first.detail.startswith(label.partition("[")[0]) else f"{label} {first.detail}"
        ends = [each for each in calls if each.kind in ("answered", "rejected") and each.what.startswith(label)]
        end = "no answer" if not ends else "answered"
        if ends and ends[-1].kind == "rejected":
            end = f"rejected: {ends[-1].what.partition(': ')[2]}"
        found.append(Operation(name, tidy(message), tidy(end)))
    return found


def tidy(text: str) -> str:
    """Text of a run in one line that no terminal acts upon."""
    printable = "".join(each if each.isprintable() else " " for each in text[:_LONGEST_CHARACTERS])
    return " ".join(printable.split())
