"""The figures of all areas as Markdown, with the machine and the versions that they were taken with."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.harness import figure

Areas = dict[str, list[dict[str, Any]]]

BEGIN = "<!-- figures: written by python -m benchmarks --page -->"
END = "<!-- end of figures -->"
PACKAGES = (
    *("msgspec", "SQLAlchemy", "starlette", "uvicorn", "uvloop", "httptools"),
    *("eventsourcing", "fastapi", "faststream", "pydantic"),
    *("anyio", "culsans", "janus"),
    *("growthbook", "openfeature-sdk"),
)


def read_area(file: Path) -> list[dict[str, Any]]:
    """Read the list that `--json` of an area wrote."""
    rows: list[dict[str, Any]] = json.loads(file.read_text())
    return rows


def rewrite(page: Path, areas: Areas) -> None:
    """Put the figures between the page's two markers; areas that were not measured keep theirs.

    Raises ValueError where a marker is missing.
    """
    text = page.read_text()
    begin, end = text.index(BEGIN), text.index(END)
    before = text[begin + len(BEGIN) : end]
    page.write_text(f"{text[:begin]}{BEGIN}\n{figures(areas, before)}\n{text[end:]}")


def figures(areas: Areas, before: str = "") -> str:
    """The sections of all areas, in their old order, new ones last. Parameters: `before`, what stood there."""
    sections: dict[str, str] = {}
    for section in before.split("\n### ")[1:]:
        area, _, rest = section.partition("\n")
        sections[area.strip()] = rest.strip()
    sections |= {area: markdown_table(rows) for area, rows in areas.items()}
    told = [f"### {area}\n\n{rest}" for area, rest in sections.items()]
    return "\n\n".join([f"Taken on {machine()}, with {versions()}.", *told]) + "\n"


def markdown_table(rows: list[dict[str, Any]]) -> str:
    lines = ["| case | ours | best peer | floor | ours ÷ peer | ours ÷ floor |", "|---|--:|--:|--:|--:|--:|"]
    lines += [f"| {' | '.join(cells(row))} |" for row in rows]
    return "\n".join(lines)


def cells(row: dict[str, Any]) -> list[str]:
    ours, floor, peers = row["ours"], row["floor"], row["peers"]
    best = (max if row["better"] == "higher" else min)(peers, key=peers.__getitem__) if peers else None
    return [
        f"{row['case']} ({row['unit']})",
        figure(ours),
        f"{figure(peers[best])} {best}" if best else "–",
        figure(floor) if floor is not None else "–",
        f"{ours / peers[best]:.2f}" if best else "–",
        f"{ours / floor:.2f}" if floor else "–",
    ]


def machine() -> str:
    """The machine in general terms."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    return f"{datetime.now(UTC):%B %Y}, {cores} cores ({platform.machine()}), {platform.system()}"


def versions() -> str:
    found = [f"{platform.python_implementation()} {platform.python_version()}", f"SQLite {sqlite3.sqlite_version}"]
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)
