"""Names of classes that mean the same."""

from __future__ import annotations

__all__ = ["plain_form"]

_IGNORED = "_-"


def plain_form(name: str) -> str:
    """Take away what people write now one way, now another: case, spaces, hyphens, underscores.

    Returns:
        What is the same for `Bald Eagle` and `bald_eagle`.
    """
    return "".join(sign for sign in name.casefold() if sign not in _IGNORED and not sign.isspace())
