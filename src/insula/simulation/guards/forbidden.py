"""What code under simulation must not call: the machine's clocks, its chance, threads, processes and sockets."""

from __future__ import annotations

import datetime
import random
import secrets
import socket
import subprocess
import threading
import uuid
from collections.abc import Iterator, Mapping
from types import CodeType, FrameType, FunctionType, ModuleType

_MODULES = {"posix": "os", "nt": "os", "_socket": "socket", "_posixsubprocess": "subprocess"}
_C_FUNCTIONS = {
    "time": "time time_ns monotonic monotonic_ns perf_counter perf_counter_ns sleep localtime gmtime",
    "os": "urandom getrandom getpid fork system posix_spawn",
    "_thread": "start_new_thread start_joinable_thread",
    "subprocess": "fork_exec",
    "socket": "getaddrinfo gethostbyname",
}
_BY_MODULE = {(module, name) for module, names in _C_FUNCTIONS.items() for name in names.split()}
_OF_DATES = {"now", "utcnow", "today"}
_OF_SOCKETS = {"connect", "connect_ex", "bind", "send", "sendall", "sendto", "recv", "recv_into", "recvfrom", "accept"}
_OF_CHANCE = {"random", "getrandbits"}
C_NAMES = frozenset({name for _, name in _BY_MODULE} | _OF_DATES | _OF_SOCKETS | _OF_CHANCE)
"""Every forbidden C function has one of these names: a fast first look."""

_GLOBAL_CHANCE: random.Random = random._inst  # noqa: SLF001 - what random.random() draws from
_SECRET_CHANCE: random.Random = secrets._sysrand  # type: ignore[attr-defined]  # noqa: SLF001 - as secrets.choice() does


def c_function(name: str, owner: object) -> str | None:
    """The name of a forbidden C function as users write it, None for a harmless one.

    Parameters: `name`, its own; `owner`, the module, class or object to which it belongs. Known by these, not by the
    name under which it was called: so no alias hides it.
    """
    if isinstance(owner, ModuleType):
        module = _MODULES.get(owner.__name__, owner.__name__)
        return f"{module}.{name}" if (module, name) in _BY_MODULE else None
    if isinstance(owner, type):
        if name not in _OF_DATES or not issubclass(owner, datetime.date):
            return None
        return f"{'datetime' if issubclass(owner, datetime.datetime) else 'date'}.{name}"
    if owner is _GLOBAL_CHANCE:
        return f"random.{name}" if name in _OF_CHANCE else None
    return f"socket.{name}" if name in _OF_SOCKETS and issubclass(type(owner), socket.SocketType) else None


def _python_functions() -> Iterator[tuple[CodeType, str]]:
    """Functions of the standard library that end in a forbidden C function, which users know by another name."""
    for name, member in vars(random.Random).items():
        if isinstance(member, FunctionType) and (name == "__init__" or not name.startswith("_")):
            yield member.__code__, f"random.{name}"
    for module, names in (
        (secrets, "token_bytes token_hex token_urlsafe randbelow"),
        (uuid, "uuid1 uuid4 uuid6 uuid7 getnode"),
        (subprocess, "run call check_call check_output getoutput getstatusoutput"),
        (socket, "create_connection create_server getaddrinfo"),
    ):
        for name in names.split():
            function = getattr(module, name, None)
            if isinstance(function, FunctionType):  # a younger Python has more of them
                yield function.__code__, f"{module.__name__}.{name}"
    yield subprocess.Popen.__init__.__code__, "subprocess.Popen"
    yield threading.Thread.start.__code__, "threading.Thread.start"


PYTHON_FUNCTIONS: Mapping[CodeType, str] = dict(_python_functions())
"""Their code, and their names as users write them."""


def python_function(frame: FrameType) -> str | None:
    """The name of a forbidden Python function that begins in `frame`, None for a harmless one.

    The methods of `random.Random` are harmless on an object that the user has seeded.
    """
    name = PYTHON_FUNCTIONS.get(frame.f_code)
    if name is None or not name.startswith("random."):
        return name
    method = name.removeprefix("random.")
    values = frame.f_locals
    owner = values.get("self")
    if method == "__init__":
        seeded = values.get("x") is not None or isinstance(owner, random.SystemRandom)
        return None if seeded else "random.Random() without a seed"
    if owner is _GLOBAL_CHANCE:
        return name
    if owner is _SECRET_CHANCE:
        return f"secrets.{method}"
    return f"random.SystemRandom.{method}" if isinstance(owner, random.SystemRandom) else None


def standard_name(frame: FrameType) -> str:
    """How users write the function of the standard library that runs in `frame`."""
    module = frame.f_globals.get("__name__", "?")
    return f"{module}.{frame.f_code.co_qualname.removesuffix('.__init__')}"
