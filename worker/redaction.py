"""Takes out of text what addresses may hold besides the address: passwords, keys, signatures."""

from __future__ import annotations

import re

__all__ = ["REDACTED", "without_secrets"]

REDACTED = "[redacted]"

# A password may hold an @ of its own; the last one before the path counts.
_USER_INFO = re.compile(r"(://)[^/?#\s\"'<>]+@")
_QUERY = re.compile(r"(https?://[^\s?#\"'<>]+)\?[^\s#\"'<>]*", re.IGNORECASE)


def without_secrets(text: str) -> str:
    """Take user names, passwords and queries out of the addresses in a text.

    Returns:
        The text without them.
    """
    text = _USER_INFO.sub(rf"\1{REDACTED}@", text)
    return _QUERY.sub(rf"\1?{REDACTED}", text)
