"""A block that is tried again, as docs/resilience.md shows it."""

from __future__ import annotations

from typing import Any

import pytest

# fmt: off
from insula.resilience import Retry


def load(path: str) -> str:
    for attempt in Retry(on=OSError):            # `async for` in async code
        with attempt:
            text = read(path)
    return text
# fmt: on


answers: list[Any] = []


def read(path: str) -> str:
    answer = answers.pop(0)
    if isinstance(answer, Exception):
        raise answer
    return f"{path}: {answer}"


def test_a_block_is_tried_again(clock: Any) -> None:
    answers[:] = [OSError(), "text"]
    assert load("here") == "here: text"
    answers[:] = [OSError("one"), OSError("two"), OSError("three"), "text"]
    with pytest.raises(OSError, match="three"):
        load("here")
