"""What a block of a policy has to remember from its beginning to its end."""

from __future__ import annotations

import sys
from contextvars import ContextVar
from types import CodeType
from typing import Any, ClassVar, TypeAlias

_NOT_OF_THE_BLOCK = ("insula.resilience.", "contextlib")
Frame: TypeAlias = tuple[int, CodeType]


class Entered:
    """What `with policy:` has to remember until its end, wherever it was entered: each task and thread has its own.

    Blocks of generators end in any order, in a copy of the context in which they began, or in another one: who closes
    a generator decides. So a block is known by the frame in which it stands, and only where that differs (an exit stack
    that was handed on) is it the innermost one of the context. An end is noted on the block itself, and blocks that
    have ended are forgotten as soon as they are the innermost.
    """

    __slots__ = ("below", "frame", "has_ended", "policy", "value")

    _innermost: ContextVar[Entered | None] = ContextVar("insula_entered_policies", default=None)
    _in_frames: ClassVar[dict[Frame, list[Entered]]] = {}

    def __init__(self, policy: object, value: Any, below: Entered | None, frame: Frame) -> None:
        self.policy = policy
        self.value = value
        self.below = below
        self.frame = frame
        self.has_ended = False

    @classmethod
    def push(cls, policy: object, value: Any) -> None:
        """Remember a value at the beginning of a policy's block."""
        frame = _frame_of_block()
        block = cls(policy, value, _going_on(cls._innermost.get()), frame)
        cls._innermost.set(block)
        cls._in_frames.setdefault(frame, []).append(block)

    @classmethod
    def pop(cls, policy: object) -> Any:
        """The value of the policy's block that ends; None if nobody knows which that is."""
        innermost = _going_on(cls._innermost.get())
        block = cls._in_frame(policy) or _innermost_of(policy, innermost)
        if block is None:
            return None
        cls._forget(block)
        block.has_ended = True
        value, block.value = block.value, None
        cls._innermost.set(_going_on(innermost))
        return value

    @classmethod
    def _in_frame(cls, policy: object) -> Entered | None:
        blocks = cls._in_frames.get(_frame_of_block(), ())
        return next((block for block in reversed(blocks) if block.policy is policy), None)

    @classmethod
    def _forget(cls, block: Entered) -> None:
        blocks = cls._in_frames.get(block.frame)
        if blocks is not None and block in blocks:
            blocks.remove(block)
            if not blocks:
                del cls._in_frames[block.frame]


def _frame_of_block() -> Frame:
    """Which run of which function has the `with`. A number, since a frame would keep alive what is in it; and its code,
    so that the method in which somebody enters a block is never taken for the one in which he ends another."""
    frame = sys._getframe(2)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(_NOT_OF_THE_BLOCK):
        frame = frame.f_back
    return id(frame), frame.f_code


def _innermost_of(policy: object, block: Entered | None) -> Entered | None:
    while block is not None and (block.policy is not policy or block.has_ended):
        block = block.below
    return block


def _going_on(block: Entered | None) -> Entered | None:
    """The innermost block that has not ended."""
    while block is not None and block.has_ended:
        block = block.below
    return block
