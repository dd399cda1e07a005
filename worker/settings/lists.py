"""Lists as people write them in one line: in the environment, on the command line."""

from __future__ import annotations

import json

__all__ = ["elements"]


def elements(text: str) -> object:
    """Split a list that is written in one line.

    Returns:
        The elements of a JSON array, or of a list with commas; other JSON stays text.
    """
    if not text.lstrip().startswith("["):
        return [element for element in text.split(",") if element.strip()]
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
