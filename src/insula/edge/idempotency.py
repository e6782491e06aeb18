"""The Idempotency-Key header: the same key from the same caller is the same command."""

from __future__ import annotations

import re
from collections.abc import Sequence

from insula.edge.problem import refuse
from insula.kernel.ids import INSULA_NAMESPACE, derive

LONGEST_KEY = 255
"""In characters, after unquoting."""

_QUOTED = re.compile(r'"((?:[^"\\]|\\["\\])*)"')
_NOT_PRINTABLE = re.compile(r"[^\x20-\x7e]")
_ROOT = derive(INSULA_NAMESPACE, "idempotency-key")


def key_of_request(values: Sequence[str]) -> str:
    """The key in the `Idempotency-Key` headers of one request.

    A quoted string as the draft asks (draft-ietf-httpapi-idempotency-key-header), or, as most clients send it, the
    text without quotes. Parameters: `values`, every value of the header, at least one.
    Raises RequestRefused (400) for an empty, too long, repeated or unreadable key.
    """
    if len(values) != 1:
        raise _refused("is given more than once; send one")
    key = values[0].strip()
    if key.startswith('"'):
        quoted = _QUOTED.fullmatch(key)
        if quoted is None:
            raise _refused("starts with a quote and is no quoted string")
        key = re.sub(r"\\(.)", r"\1", quoted[1])
    if not key:
        raise _refused("is empty; send a new UUID for each command, and the same one again when you retry")
    if len(key) > LONGEST_KEY:
        raise _refused(f"has {len(key)} characters; at most {LONGEST_KEY} are allowed")
    if _NOT_PRINTABLE.search(key):
        raise _refused("holds a character that is not printable ASCII")
    return key


def message_id_of(message_name: str, subject: str, key: str) -> str:
    """The id of the command that a caller means by a key: always the same, and never another caller's or command's.

    Parameters: `message_name`, the command's name on the wire; `subject`, the caller's; `key`, as the client chose it.
    """
    return derive(derive(derive(_ROOT, message_name), subject), key)


def _refused(reason: str) -> Exception:
    return refuse(400, "IdempotencyKeyInvalid", f"The header Idempotency-Key {reason}.")
