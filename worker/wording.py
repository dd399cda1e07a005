"""Wording that messages of several parts have in common."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["first_few"]


def first_few(names: Sequence[str], most: int) -> str:
    """List names for a sentence.

    Args:
        names: at least one.
        most: names that are shown.

    Returns:
        Such as `cat, dog and 3 more`.
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
