"""Addresses of databases, as people may see them. Needs no driver: whoever shows one may have none."""

from __future__ import annotations

from urllib.parse import urlsplit


def without_password(address: str) -> str:
    """The address with an ellipsis in place of its password."""
    password = urlsplit(address).password
    return address if password is None else address.replace(f":{password}@", ":…@", 1)


def for_each_module(address: str) -> str:
    """An address with `{module}` in it: the server, and that each module has a place of its own there."""
    if "{module}" not in address:
        return without_password(address)
    parts = urlsplit(address)
    host = parts.netloc.rpartition("@")[2].replace("{module}", "MODULE")
    return f"{parts.scheme}://{host}, a database for each module"
