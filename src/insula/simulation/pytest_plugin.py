"""Tells `simulate` where a test's saved plans lie: `plans/<file>.<test>/` beside the test. Loaded by pytest itself."""

from __future__ import annotations

import re
from collections.abc import Generator
from typing import Any

import pytest


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item: Any) -> Generator[None]:
    """For the length of one test."""
    from insula.simulation.hunting.regressions import plans_folder

    name = re.sub(r"[^\w.-]+", "-", item.name)
    token = plans_folder.set(item.path.parent / "plans" / f"{item.path.stem}.{name}")
    yield
    plans_folder.reset(token)
