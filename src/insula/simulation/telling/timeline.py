"""One run as text, for terminals and for failing tests."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from insula.simulation.simulation import Outcome
from insula.simulation.telling.scene import Fault, Line, Scene, scene, tidy

_COLUMNS = 120
_STEP = 3
_MARGIN = " " * 12
_UP, _DOWN, _PAUSED = "│", " ", "┊"
_CALLS = {"call": "▶", "ask": "▶", "answered": "◀", "rejected": "◀", "told": "◀", "failed": "×"}


def timeline(outcome: Outcome) -> str:
    """The story of a run: what is violated, the faults, the operations, and a line for each thing that happened.

    A column for each service; "!" before a line marks a fault, ">" the violation. At most 120 characters wide.
    """
    shown = scene(outcome)
    blocks = [list(_verdict(outcome)), list(_faults(shown.faults)), list(_operations(shown)), list(_story(shown))]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def _wrapped(text: str, first: str, then: int) -> list[str]:
    return textwrap.wrap(text, _COLUMNS, initial_indent=first, subsequent_indent=" " * then, break_on_hyphens=False)


def _verdict(outcome: Outcome) -> Iterator[str]:
    violation = outcome.violation
    if violation is None:
        yield f"HELD  everything, seed {outcome.seed}"
        return
    yield f"VIOLATED  {tidy(violation.invariant)}"
    yield from _wrapped(tidy(violation.detail), " " * 10, 10)
    yield f"          seed {outcome.seed}, at {violation.at:.3f} s"


def _faults(faults: Sequence[Fault]) -> Iterator[str]:
    yield f"faults: {len(faults) or 'none'}"
    widest = max((len(each.kind) for each in faults), default=0)
    for each in faults:
        unseen = "" if each.place is not None else " (not reached)"
        yield from _wrapped(
            f"{each.where}: {each.words}{unseen}", f"  {each.number:>2}  {each.kind:<{widest}}  ", widest + 8
        )


def _operations(shown: Scene) -> Iterator[str]:
    if not shown.operations:
        return
    yield f"operations: {len(shown.operations)}"
    for each in shown.operations:
        yield from _wrapped(f"{each.message}: {each.end}", f"  [{each.name}]  ", 8)


def _story(shown: Scene) -> Iterator[str]:
    """The lanes, their names on stairs above them, then a row for each line."""
    drawing = _Drawing(shown.lanes)
    for number, name in enumerate(shown.lanes):
        yield f"{_MARGIN}{(_UP + ' ' * (_STEP - 1)) * number}{tidy(name)}"
    for line in shown.lines:
        if line.noise:
            continue
        publisher = "" if line.source is None else shown.lines[line.source].happening.where
        lanes = drawing.row(line, publisher)
        sign = ">" if line.happening.kind == "violation" else "!" if line.bad else " "
        times = f" (× {line.times}, until {line.last:.3f})" if line.times > 1 else ""
        badge = f"({line.fault}) " if line.fault else ""
        who = f"{tidy(line.speaker)}: " if line.speaker else ""
        if line.happening.kind == "violation":
            yield from _wrapped(f"VIOLATED {line.text}", f"{sign}{line.happening.at:>9.3f}  {lanes} ", len(lanes) + 13)
            continue
        room = _COLUMNS - len(_MARGIN) - len(lanes) - 1
        yield f"{sign}{line.happening.at:>9.3f}  {lanes} {_cut(f'{badge}{who}{line.text}', room - len(times))}{times}"


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else text[: room - 1] + "…"


class _Drawing:
    """The lanes, a row at a time: services that are down have no line, those that stand still a thin one."""

    def __init__(self, lanes: Sequence[str]) -> None:
        self._columns = {name: number * _STEP for number, name in enumerate(lanes)}
        self._down: set[str] = set()
        self._paused_until: dict[str, float] = {}

    def row(self, line: Line, publisher: str) -> str:
        """The lanes at a line; `publisher` is the service whose message arrives, or empty."""
        each = line.happening
        if each.kind == "start":
            self._down.discard(each.where)
        cells = [" "] * ((len(self._columns) - 1) * _STEP + 1 if self._columns else 0)
        for name, column in self._columns.items():
            paused = each.at < self._paused_until.get(name, 0.0)
            cells[column] = _DOWN if name in self._down else _PAUSED if paused else _UP
        here = self._columns.get(each.where)
        other = self._columns.get(publisher or (each.services[0] if each.services else ""))
        if each.kind == "partition":
            ends = [self._columns[name] for name in each.services if name in self._columns]  # a database has no lane
            _between(cells, ends[0], ends[-1], "╌")
            for column in ends:
                cells[column] = "✗"
        elif here is not None:
            if other is not None and other != here and (each.kind in _CALLS or each.messages):
                _between(cells, here, other, "╌" if each.kind == "delay" else "─")
                _head(cells, here, other, each.kind)
            cells[here] = "✗" if line.bad else "●"
        if each.kind == "violation":
            cells = ["━"] * len(cells)
        if each.kind == "crash":
            self._down.add(each.where)
        if each.kind == "pause":
            self._paused_until[each.where] = each.at + each.seconds
        return "".join(cells)


def _between(cells: list[str], one: int, other: int, stroke: str) -> None:
    """Join two lanes."""
    low, high = sorted((one, other))
    for column in range(low + 1, high):
        cells[column] = "┼" if cells[column] in (_UP, _PAUSED) else stroke
    cells[low], cells[high] = "├", "┤"


def _head(cells: list[str], here: int, other: int, kind: str) -> None:
    """The head of an arrow: at the other lane for a call, at this one for whatever comes back or arrives."""
    right = other > here
    if kind in ("call", "ask"):
        cells[other + (-1 if right else 1)] = "▶" if right else "◀"
    elif kind != "delay":
        cells[here + (1 if right else -1)] = "×" if kind in ("failed", "loss") else "◀" if right else "▶"
