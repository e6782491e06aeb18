"""Base64. Source: cel-go, `ext/encoders.go`."""

from __future__ import annotations

import base64
import binascii

from insula.rules.errors import EvaluationError
from insula.rules.functions.registry import Functions

ENCODERS = Functions()


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4) if "=" not in text else text, validate=True)
    except (binascii.Error, ValueError):
        raise EvaluationError(f'base64.decode("{text[:40]}"): that is no base64') from None


ENCODERS.function("base64.encode", {(bytes,): lambda value: base64.b64encode(value).decode()})
ENCODERS.function("base64.decode", {(str,): _decoded})
