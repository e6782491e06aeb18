"""One run as a page of HTML that needs nothing else."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from string import Template

from insula.simulation.simulation import Outcome
from insula.simulation.telling.drawing import Drawing, Place, names
from insula.simulation.telling.scene import Fault, Line, Operation, Scene, scene, tidy

_WIDTH, _TIME_WIDTH, _PADDING = 1216, 84, 18
_LETTER = 7.23
"""Pixels of a letter of the story: 12 px in a face whose letters are 0.6 wide."""

_LANES_WIDTH, _WIDEST_STEP, _NARROWEST_STEP = 600, 110, 40
_FIRST_HEIGHT, _NEXT_HEIGHT, _GAP_HEIGHT, _GAP_SECONDS = 24, 17, 20, 1.0
_MANY = 6
_CONSEQUENCES = ("failed", "violation")
_HOW_LONG = re.compile(r"(; down for|,? for| by) -?[\d.]+ s\b")


def page(outcome: Outcome) -> str:
    """The story of a run, drawn: a lane for each service, time downwards, the faults and the violation marked."""
    shown = scene(outcome)
    template = Template(Path(__file__).with_name("page.html").read_text(encoding="utf-8"))
    quiet = [line for line in shown.lines if not line.noise]
    step = max(_NARROWEST_STEP, min(_WIDEST_STEP, _LANES_WIDTH / max(1, len(shown.lanes))))
    ends = shown.lines[-1].happening.at - shown.lines[0].happening.at if shown.lines else 0.0
    facts = [
        f"seed {outcome.seed}", f"{ends:.1f} s of virtual time", _counted(len(outcome.services), "service"),
        _counted(len(shown.operations), "operation"), _counted(len(shown.faults), "fault"),
    ]  # fmt: skip
    return template.substitute(
        title=escape(tidy(outcome.violation.invariant) if outcome.violation else "everything held"),
        verdict=_verdict(outcome, shown),
        facts=escape(" · ".join(facts)),
        digest=escape(outcome.digest),
        faults=_faults(shown.faults),
        operations=_operations(shown.operations),
        hidden=len(shown.lines) - len(quiet),
        names=names(list(shown.lanes), step, 6.7),
        story=_diagram(shown, quiet, step, "story"),
        everything=_diagram(shown, shown.lines, step, "everything"),
        width=_WIDTH,
        time_width=_TIME_WIDTH,
        text_left=round(_TIME_WIDTH + step * len(shown.lanes) + _PADDING),
        hues="\n".join(f".lane-{number} {{ --hue: {hue:.0f}; }}" for number, hue in enumerate(_hues(len(shown.lanes)))),
    )


def _counted(count: int, thing: str) -> str:
    return f"{count or 'no'} {thing}{'' if count == 1 else 's'}"


def _hues(count: int) -> Iterator[float]:
    """A colour for each lane, none of them the red of faults; neighbours far apart."""
    for number in range(count):
        yield 70 + (number * 160.7) % 260


def _verdict(outcome: Outcome, shown: Scene) -> str:
    violation = outcome.violation
    if violation is None:
        return '<p class="pill held">held</p><h1>Everything held</h1>'
    places = [line.index for line in shown.lines if line.happening.kind == "violation"]
    where = f"at {violation.at:.3f} s"
    link = f'<a data-line="{places[0]}" href="#story-{places[0]}">{where}</a>' if places else where
    return (
        f'<p class="pill violated">violated</p><h1>{escape(tidy(violation.invariant))}</h1>'
        f'<p class="detail">{escape(tidy(violation.detail))} <span class="quiet">{link}</span></p>'
    )


def _faults(faults: Sequence[Fault]) -> str:
    if not faults:
        return '<p class="quiet">None: this happens when all goes well.</p>'
    items = []
    for each in faults:
        words = f"<b>{escape(each.kind)}</b> {escape(each.where)}: {escape(each.words)}"
        if each.place is None:
            inside = f"<span>{words} <i>(not reached)</i></span>"
        else:
            inside = f'<a data-line="{each.place}" href="#story-{each.place}">{words}</a>'
        kind = ' class="unreached"' if each.place is None else ""
        items.append(f'<li id="fault-{each.number}"{kind}><span class="count">{each.number}</span>{inside}</li>')
    return f'<ol class="faults{" many" if len(faults) > _MANY else ""}">\n' + "\n".join(items) + "\n</ol>"


def _operations(operations: Sequence[Operation]) -> str:
    rows = [
        f'<tr><th scope="row">{escape(each.name)}</th><td>{escape(each.message)}</td><td>{escape(each.end)}</td></tr>'
        for each in operations
    ]
    head = '<tr><th scope="col">Name</th><th scope="col">Message</th><th scope="col">End</th></tr>'
    return f"<table>{head}{''.join(rows)}</table>" if rows else '<p class="quiet">None.</p>'


def _diagram(shown: Scene, lines: Sequence[Line], step: float, prefix: str) -> str:
    """Lines of text with the picture of their lanes before them."""
    room = max(24, int((_WIDTH - _TIME_WIDTH - step * len(shown.lanes) - 2 * _PADDING) / _LETTER))
    places: list[Place] = []
    rows: list[str] = []
    top, before = 0.0, None
    for line in lines:
        waited = 0.0 if before is None else line.happening.at - before
        before = line.happening.at
        gap = _GAP_HEIGHT if waited >= _GAP_SECONDS else 0
        texts = _texts(line, shown.faults, room)
        height = gap + _FIRST_HEIGHT + _NEXT_HEIGHT * (len(texts) - 1)
        places.append(Place(line, top, height, top + gap + _FIRST_HEIGHT / 2))
        rows.append(_row(line, texts, height, gap, waited, prefix))
        top += height
    picture = Drawing(shown.lanes, step, places).svg()
    return f'<div class="diagram">{picture}<ol>\n' + "\n".join(rows) + "\n</ol></div>"


def _texts(line: Line, faults: Sequence[Fault], room: int) -> list[tuple[str, str]]:
    """The lines of text of a line of the story, with their classes."""
    each = line.happening
    who = f"{tidy(line.speaker)}: " if line.speaker else ""
    if each.kind == "violation":
        return [("", text) for text in textwrap.wrap(f"VIOLATED {line.text}", room)]
    said = _HOW_LONG.sub("", line.text) if line.fault else line.text  # the fault's own words follow
    texts = [("", text) for text in textwrap.wrap(f"{who}{said}", room)] or [("", "")]
    if line.times > 1:
        texts.append(("words", f"{line.times} times, until {line.last:.3f} s"))
    if line.fault:
        words = faults[line.fault - 1].words
        texts += [("words", text) for text in textwrap.wrap(words, room)]
    return texts


def _row(line: Line, texts: Sequence[tuple[str, str]], height: float, gap: int, waited: float, prefix: str) -> str:
    each = line.happening
    kind = "own" if line.noise else "bad" if line.bad and each.kind not in _CONSEQUENCES else each.kind
    said = "\n".join(f'<span class="{name}">{escape(text)}</span>' if name else escape(text) for name, text in texts)
    passed = f'<small style="height:{gap}px">+{waited:.1f} s</small>' if gap else ""
    back = f' <a class="back" href="#fault-{line.fault}" aria-label="fault {line.fault}">↑</a>' if line.fault else ""
    hint = f' title="{escape(tidy(each.detail))}"' if each.detail else ""
    return (
        f'<li id="{prefix}-{line.index}" class="{kind}" style="height:{height:g}px;--gap:{gap}px">{passed}'
        f"<time>{each.at:.3f}</time><p{hint}>{said}{back}</p></li>"
    )
