"""Addresses of databases, as people may see them. Needs no driver: whoever shows one may have none."""

from __future__ import annotations

from urllib.parse import urlsplit


def without_password(address: str) -> str:
    """The address with an ellipsis in place of its password."""
    password = urlsplit(address).password
    return address if password is None else address.replace(f":{password}@", ":…@", 1)
