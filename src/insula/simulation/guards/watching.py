"""Sees the calls of forbidden functions while they happen."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import BuiltinFunctionType, ClassMethodDescriptorType, FrameType, MethodDescriptorType
from typing import Any

from insula.simulation.guards.forbidden import C_NAMES, PYTHON_FUNCTIONS, c_function
from insula.simulation.machine.places import may_matter

Called = Callable[[str, FrameType], None]
Started = Callable[[FrameType], None]

if sys.version_info >= (3, 12):
    _DESCRIPTORS = (MethodDescriptorType, ClassMethodDescriptorType)

    class Watch:
        """Watches calls through `sys.monitoring`, and turns itself off at the places that cannot matter."""

        def __init__(self, called: Called, started: Started) -> None:
            self._called = called
            self._started = started
            self._tool = -1

        def start(self) -> None:
            """Begin. Raises RuntimeError if every tool id of this interpreter is taken."""
            monitoring = sys.monitoring
            free = [tool for tool in (4, 3, monitoring.PROFILER_ID) if monitoring.get_tool(tool) is None]
            if not free:
                raise RuntimeError("the audit needs one of the interpreter's monitoring tools, and all are taken")
            self._tool = free[0]
            monitoring.use_tool_id(self._tool, "insula audit")
            monitoring.register_callback(self._tool, monitoring.events.CALL, self._call)
            monitoring.register_callback(self._tool, monitoring.events.PY_START, self._start)
            monitoring.set_events(self._tool, monitoring.events.CALL)
            for code in PYTHON_FUNCTIONS:
                monitoring.set_local_events(self._tool, code, monitoring.events.PY_START)

        def stop(self) -> None:
            """End."""
            monitoring = sys.monitoring
            for code in PYTHON_FUNCTIONS:
                monitoring.set_local_events(self._tool, code, monitoring.events.NO_EVENTS)
            monitoring.set_events(self._tool, monitoring.events.NO_EVENTS)
            for event in (monitoring.events.CALL, monitoring.events.PY_START):
                monitoring.register_callback(self._tool, event, None)
            monitoring.free_tool_id(self._tool)
            monitoring.restart_events()

        def _call(self, code: Any, offset: int, function: Any, first: Any) -> Any:
            if not may_matter(code.co_filename):
                return sys.monitoring.DISABLE
            kind = type(function)
            if kind is BuiltinFunctionType:
                if function.__name__ in C_NAMES:
                    self._look(function.__name__, function.__self__)
            elif kind in _DESCRIPTORS and function.__name__ in C_NAMES:
                self._look(function.__name__, first)
            return None

        def _look(self, name: str, owner: object) -> None:
            what = c_function(name, owner)
            if what is not None:
                self._called(what, sys._getframe(2))

        def _start(self, code: Any, offset: int) -> None:
            self._started(sys._getframe(1))

else:

    class Watch:
        """Watches this thread's calls by a profile function: Python 3.11 has nothing faster."""

        def __init__(self, called: Called, started: Started) -> None:
            def watch(frame: FrameType, event: str, function: Any) -> None:
                if event == "c_call":
                    if function.__name__ in C_NAMES:
                        what = c_function(function.__name__, function.__self__)
                        if what is not None:
                            called(what, frame)
                elif event == "call" and frame.f_code in PYTHON_FUNCTIONS:
                    started(frame)

            self._watch = watch
            self._before: Any = None

        def start(self) -> None:
            """Begin."""
            self._before = sys.getprofile()
            sys.setprofile(self._watch)

        def stop(self) -> None:
            """End, and let go on whoever watched before."""
            sys.setprofile(self._before)
