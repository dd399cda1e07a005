"""The trace that a job belongs to: the W3C's `traceparent`, as producers and clients send it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from worker.contract.records import Headers

__all__ = ["TRACEPARENT", "TRACESTATE", "sampled_trace", "trace_header"]

TRACEPARENT, TRACESTATE = "traceparent", "tracestate"

# https://www.w3.org/TR/trace-context/: version, trace, span, flags. Later versions may add more.
_FORM = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})(?:-.*)?"
)
_SAMPLED = 1


def trace_header(headers: Headers) -> str | None:
    """Find a record's `traceparent`.

    Returns:
        The last one, as HTTP libraries take it; None if there is none.
    """
    for name, value in reversed(headers):
        if name.lower() == TRACEPARENT:
            return (value or b"").decode("ascii", "replace")  # a record's header may have no value
    return None


def sampled_trace(traceparent: str | None) -> str | None:
    """Read which trace a job belongs to, if it is one that somebody keeps.

    Returns:
        The trace's id, 32 hexadecimal digits. None without a header, or if it is no valid one, or
        if its trace is not sampled: a link to it would lead nowhere.
    """
    found = _FORM.fullmatch(traceparent) if traceparent else None
    if found is None or not int(found[2], 16) & _SAMPLED:
        return None
    return found[1]
