"""The lanes of a run as SVG: services, what went between them, what went wrong, who was down."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from insula.simulation.telling.scene import Line, tidy

_MARK, _BADGE, _HALF_BAR = 4.5, 9.0, 8.0
_LABEL_FITS = 84.0
_LONG, _TURN = 240.0, 48.0
"""From this height on a message runs down beside the lane where it arrives, so that it crosses no others."""

_BACK = ("answered", "rejected", "told")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a line of the story stands: from `top`, `height` pixels, its signs at `middle`."""

    line: Line
    top: float
    height: float
    middle: float


@dataclass(frozen=True, slots=True)
class _Stay:
    """A time in which a service does nothing: down, or standing still."""

    lane: str
    kind: str
    seconds: float
    begins: float
    ends: float


class Drawing:
    """Draws one run.

    Parameters: `lanes`, by name from left to right; `step`, pixels from lane to lane; `places` of the lines shown.
    """

    def __init__(self, lanes: Sequence[str], step: float, places: Sequence[Place]) -> None:
        self._x = {name: step * (number + 0.5) for number, name in enumerate(lanes)}
        self._number = {name: number for number, name in enumerate(lanes)}
        self._places = places
        self._at = {place.line.index: place for place in places}
        self._height = places[-1].top + places[-1].height if places else 0.0
        self.width = step * len(lanes)

    def svg(self) -> str:
        """The whole picture. What it shows is told by the text beside it, so it is hidden from screen readers."""
        stays = list(self._stays())
        parts = [*self._lanes(stays), *self._shades(stays)]
        for place in self._places:
            parts += self._arrows(place)
        for place in self._places:
            parts += self._marks(place)
        size = f'width="{self.width:.0f}" height="{self._height:.0f}"'
        return f'<svg aria-hidden="true" focusable="false" {size}>\n' + "\n".join(parts) + "\n</svg>"

    # -- who is there

    def _stays(self) -> Iterator[_Stay]:
        for number, place in enumerate(self._places):
            each = place.line.happening
            if each.kind not in ("crash", "pause") or each.where not in self._x:
                continue
            ends = self._height
            for later in self._places[number + 1 :]:
                other = later.line.happening
                here = other.where == each.where
                if (here and other.kind == ("start" if each.kind == "crash" else "crash")) or (
                    each.kind == "pause" and other.at >= each.at + each.seconds
                ):
                    ends = later.middle
                    break
            yield _Stay(each.where, each.kind, each.seconds, place.middle, ends)

    def _lanes(self, stays: Sequence[_Stay]) -> Iterator[str]:
        """A line for each lane, with gaps where the process is down."""
        for name, x in self._x.items():
            begins = 0.0
            for stay in [each for each in stays if each.lane == name and each.kind == "crash"]:
                yield self._lane(name, x, begins, stay.begins)
                begins = stay.ends
            yield self._lane(name, x, begins, self._height)

    def _lane(self, name: str, x: float, begins: float, ends: float) -> str:
        return f'<path class="lane {self._hue(name)}" d="M{x:.1f} {begins:.1f}V{ends:.1f}"/>'

    def _shades(self, stays: Sequence[_Stay]) -> Iterator[str]:
        for stay in stays:
            x, height = self._x[stay.lane], stay.ends - stay.begins
            yield (
                f'<rect class="{stay.kind}" x="{x - _HALF_BAR:.1f}" y="{stay.begins:.1f}" '
                f'width="{2 * _HALF_BAR:g}" height="{max(0.0, height):.1f}" rx="3"/>'
            )
            if height > _LABEL_FITS + 2 * _BADGE:
                words = "down" if stay.kind == "crash" else "still"
                y = stay.begins + _BADGE + 6
                turned = f"translate({x - 3.5:.1f} {y:.1f}) rotate(90)"
                yield f'<text class="stay" transform="{turned}">{words} {stay.seconds:g} s</text>'

    # -- what goes between them

    def _arrows(self, place: Place) -> Iterator[str]:
        line, each = place.line, place.line.happening
        here = self._x.get(each.where)
        there = self._x.get(each.services[0]) if each.services else None
        y = place.middle
        if each.kind == "partition":
            ends = sorted(self._x[name] for name in each.services if name in self._x)
            if len(ends) == 2:
                yield f'<path class="cut" d="M{ends[0]:.1f} {y:.1f}H{ends[1]:.1f}"/>'
        elif here is not None and there is not None:
            yield from self._across(each.kind, each.where, each.services[0], here, there, y)
        elif here is not None and line.source is not None and line.source in self._at:
            source = self._at[line.source]
            start = self._x.get(source.line.happening.where)
            if start is not None:
                yield from self._message(place, source, start, here)

    def _across(self, kind: str, name: str, other: str, here: float, there: float, y: float) -> Iterator[str]:
        """A request or what became of it, on one height."""
        toward = 1 if there > here else -1
        if kind in ("call", "ask"):
            yield f'<path class="request {self._hue(name)}" d="M{here:.1f} {y:.1f}H{there - toward * 3:.1f}"/>'
            yield self._head(there - toward, y, toward, self._hue(name))
        elif kind in _BACK:
            yield f'<path class="answer {self._hue(other)}" d="M{there:.1f} {y:.1f}H{here + toward * 8:.1f}"/>'
            yield self._head(here + toward * (_MARK + 1.5), y, -toward, self._hue(other))
        else:
            yield f'<path class="cut" d="M{here:.1f} {y:.1f}H{there:.1f}"/>'

    def _message(self, place: Place, source: Place, start: float, here: float) -> Iterator[str]:
        """From the commit that published a message to where it arrives, or does not."""
        kind, y, top = place.line.happening.kind, place.middle, source.middle
        hue = self._hue(source.line.happening.where)
        style = {"loss": "lost", "delay": "late"}.get(kind, "message")
        gap = _BADGE + 1 if place.line.fault else _MARK + 1.5
        toward = 1 if here > start else -1
        end = here - toward * (gap + 3)
        bend = (start + here) / 2
        if here == start:
            bend, end, toward = here + 30, here + gap + 3, -1
        path = f"M{start:.1f} {top:.1f}C{bend:.1f} {top:.1f} {bend:.1f} {y:.1f} {end:.1f} {y:.1f}"
        if y - top > _LONG and here != start:
            beside = here - toward * (_BADGE + 6 + 2 * self._number[source.line.happening.where])
            path = (
                f"M{start:.1f} {top:.1f}C{beside:.1f} {top:.1f} {beside:.1f} {top:.1f} {beside:.1f} {top + _TURN:.1f}"
                f"V{y - _TURN:.1f}Q{beside:.1f} {y:.1f} {end:.1f} {y:.1f}"
            )
        yield f'<path class="{style} {hue}" d="{path}"/>'
        if style == "message":
            yield self._head(here - toward * gap, y, toward, hue)

    def _head(self, x: float, y: float, toward: int, hue: str) -> str:
        back = x - toward * 8
        return f'<path class="head {hue}" d="M{x:.1f} {y:.1f}L{back:.1f} {y - 4:.1f}V{y + 4:.1f}Z"/>'

    # -- what happens where

    def _marks(self, place: Place) -> Iterator[str]:
        line, each, y = place.line, place.line.happening, place.middle
        x = self._x.get(each.where)
        if each.kind == "violation":
            yield f'<path class="violation" d="M0 {y:.1f}H{self.width:.1f}"/>'
        elif each.kind == "heal":
            yield f'<path class="heal" d="M0 {y:.1f}H{self.width:.1f}"/>'
        elif each.kind == "partition":
            ends = [self._x[name] for name in each.services if name in self._x]
            yield from (self._badge(end, y, line.fault) for end in ends)
        elif x is not None and each.kind == "failed" and each.services:
            yield f'<path class="cross" d="M{x - 4:.1f} {y - 4:.1f}l8 8m0 -8l-8 8"/>'
        elif x is not None and line.bad:
            yield self._badge(x, y, line.fault)
        elif x is not None:
            shape = "ring" if each.kind in ("deliver", "start") else "dot"
            size = _MARK if each.kind in ("deliver", "commit", "start") else 3.0
            noise = " own" if line.noise else ""
            yield f'<circle class="{shape} {self._hue(each.where)}{noise}" cx="{x:.1f}" cy="{y:.1f}" r="{size:g}"/>'

    def _badge(self, x: float, y: float, number: int) -> str:
        return (
            f'<circle class="badge" cx="{x:.1f}" cy="{y:.1f}" r="{_BADGE:g}"/>'
            f'<text class="number" x="{x:.1f}" y="{y + 3.6:.1f}">{number or "!"}</text>'
        )

    def _hue(self, name: str) -> str:
        return f"lane-{self._number.get(name, 0)}"


def names(lanes: Sequence[str], step: float, letter: float) -> str:
    """The names above the lanes, on two heights where one is too narrow for them."""
    longest = max((len(name) for name in lanes), default=0)
    stairs = longest * letter > step - 8
    room = int(((2 if stairs else 1) * step - 8) / letter)
    height = 52 if stairs else 34
    parts = []
    for number, name in enumerate(map(tidy, lanes)):
        x, y = step * (number + 0.5), height - (38 if stairs and number % 2 == 0 else 16)
        shown = name if len(name) <= room else name[: room - 1] + "…"
        parts.append(
            f'<g class="name lane-{number}"><title>{escape(name)}</title><path class="lane lane-{number}" '
            f'd="M{x:.1f} {y + 6}V{height}"/><text x="{x:.1f}" y="{y}">{escape(shown)}</text></g>'
        )
    return (
        f'<svg role="img" aria-label="Lanes" width="{step * len(lanes):.0f}" height="{height}">{"".join(parts)}</svg>'
    )
