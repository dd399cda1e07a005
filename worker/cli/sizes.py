"""Sizes as people write them: `60M`, `1.5 GiB`."""

from __future__ import annotations

import re

import typer

__all__ = ["size_in_bytes", "size_in_words"]

_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMG]?)(?:i?B)?", re.IGNORECASE)


def size_in_bytes(text: str) -> int:
    """Read a size such as `60M`, `1.5 GB` or `1000000`; K, M and G are powers of 1024.

    Returns:
        Bytes.

    Raises:
        typer.BadParameter: it is no size.
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise typer.BadParameter(f"{text!r} is not a size; write 60M or 1.5G")
    return round(float(found[1]) * _UNITS[found[2].upper()])


def size_in_words(size: int) -> str:
    """Write a size for people.

    Returns:
        The size in MiB.
    """
    return f"{size / 2**20:.1f} MiB"
