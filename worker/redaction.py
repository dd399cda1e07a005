"""Takes secrets out of text: those of addresses, and those behind a telling name.

A net below all other care: libraries and other programs may repeat what they were given.
"""

from __future__ import annotations

import re

__all__ = ["REDACTED", "without_secrets"]

REDACTED = "[redacted]"

# A password may hold an @ of its own; the last one before the path counts.
_USER_INFO = re.compile(r"(://)[^/?#\s\"'<>]+@")
_QUERY = re.compile(r"(https?://[^\s?#\"'<>]+)\?[^\s#\"'<>]*", re.IGNORECASE)
# Some have tokens of OAuth 2; a place in a document has no "=".
_FRAGMENT = re.compile(r"(https?://[^\s#\"'<>]+)#[^\s=\"'<>]*=[^\s\"'<>]*", re.IGNORECASE)

# Without an address around them: a path alone (`GET /cat.jpg?sig=...`), a form, a JAAS line.
_PARAMETER = re.compile(
    r"((?:passw(?:or)?d|passphrase|secret|token|credential|signature|api[_-]?key"
    r"|access[_-]?key(?:id)?|[?&]sig|[?&]key)=)(?!\[redacted\])(?:\"[^\"\r\n]*\"|'[^'\r\n]*'|[^\s&\"'<>,;]+)",
    re.IGNORECASE,
)
_AUTHORIZATION = re.compile(
    r"(authorization['\"]?\s?[:=]\s?(?:b?['\"])?)"
    r"(?:(?:basic|bearer|digest|negotiate) )?[^\s'\",;]+",
    re.IGNORECASE,
)


def without_secrets(text: str) -> str:
    """Take user names, passwords and queries out of the addresses in a text, and named secrets.

    Returns:
        The text without them.
    """
    text = _USER_INFO.sub(rf"\1{REDACTED}@", text)
    text = _QUERY.sub(rf"\1?{REDACTED}", text)
    text = _FRAGMENT.sub(rf"\1#{REDACTED}", text)
    text = _PARAMETER.sub(rf"\1{REDACTED}", text)
    return _AUTHORIZATION.sub(rf"\1{REDACTED}", text)
