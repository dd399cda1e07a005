"""YAML that is small as a file and endless as a value."""

from __future__ import annotations

__all__ = ["bomb"]

LEVELS, BRANCHES = 9, 9


def bomb(collection: str) -> str:
    """Aliases of aliases, on one line: more than a hundred million values, were they copied.

    Args:
        collection: a format for a collection of what `{}` becomes.
    """
    text = collection.format("{k: x}")
    for level in range(LEVELS):
        aliases = f", *a{level}" * BRANCHES
        text = collection.format(f"&a{level} {text}{aliases}")
    return text
