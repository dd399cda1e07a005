"""Texts of this project's own making that travel in messages."""

from __future__ import annotations

__all__ = ["MAX_TEXT", "bounded_text"]

MAX_TEXT = 1024
"""Longest error message in characters. A dead letter has it in a header, and brokers expect small
headers."""


def bounded_text(text: str) -> str:
    """Make a text fit to be sent.

    Returns:
        `text`, cut off after `MAX_TEXT` characters, with lone surrogates replaced: one of them,
        from a label in a damaged model, say, would make the whole message unencodable.
    """
    clean = text.encode("utf-8", "replace").decode()
    return clean if len(clean) <= MAX_TEXT else clean[: MAX_TEXT - 1] + "…"
