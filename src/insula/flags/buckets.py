"""Sticky percentages: a subject falls into the same bucket of a salt for ever, in every process and language.

Source: MurmurHash3_x86_32 by Austin Appleby, of the subject in UTF-8, with that of the salt (seed 0) as seed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import cast

from insula.flags.errors import FlagError

PARTS = 100_000
"""What a whole is divided into; a bucket is a number below it."""
_HASHES = 1 << 32

Hash = Callable[[bytes, int], int]


@cache
def murmur3() -> Hash:
    """The hash, of bytes: given a text that is none, such as half a surrogate pair, mmh3 would end the process.

    Raises `FlagError` where the extra is not installed.
    """
    try:
        import mmh3
    except ModuleNotFoundError:
        raise FlagError("a rollout needs mmh3, which is not installed: pip install 'insula[flags]'") from None
    return cast("Hash", mmh3.mmh3_32_uintdigest)


def seed_of(salt: str) -> int:
    """The seed under which subjects are hashed."""
    return murmur3()(salt.encode(), 0)


def bucket_of(salt: str, subject: str) -> int:
    """The subject's bucket, 0 to 99,999. Raises UnicodeEncodeError for what is no text."""
    return murmur3()(subject.encode(), seed_of(salt)) * PARTS // _HASHES


def hash_limit(parts: int) -> int:
    """The hashes below it are those of the buckets below `parts`, so that a bucket need not be computed."""
    return -(-parts * _HASHES // PARTS)


def parts_of(percent: float) -> int:
    """A percentage in parts. Raises ValueError for what is none, or finer than 0.001 %."""
    if not 0 <= percent <= 100:  # also where it is no number
        raise ValueError(f"{percent:g} % is not between 0 and 100")
    parts = round(percent * (PARTS // 100))
    if abs(parts - percent * (PARTS // 100)) > 1e-6:
        raise ValueError(f"{percent!r} % is finer than 0.001 %")
    return parts
