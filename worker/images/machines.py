"""Which machine a URL leads to: fetches are limited by machine, not by name."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv6Address, ip_network
from typing import TYPE_CHECKING

from worker.images.addresses import literal_address

if TYPE_CHECKING:
    from aiohttp.abc import ResolveResult

__all__ = ["machine_of"]


def machine_of(name: str, found: list[ResolveResult] | None) -> str:
    """Tell which machine is behind a name, since one machine can have any number of names.

    Args:
        name: the URL's host.
        found: the addresses of the name; None when it is an address itself.

    Returns:
        The machine's address; of an IPv6 address its network, which one owner usually has whole.
    """
    if not found:
        return _parsed(name)
    # Any of the addresses, but always the same: name servers change the order.
    return min(_parsed(each["host"]) for each in found)


@lru_cache(maxsize=4096)
def _parsed(address: str) -> str:
    parsed = literal_address(address)
    if isinstance(parsed, IPv6Address):
        return str(ip_network((int(parsed), 64), strict=False))
    return address if parsed is None else str(parsed)
