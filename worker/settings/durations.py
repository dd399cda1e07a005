"""Times as people write them: `10s`, `1m`, `1.5h`, or a number of seconds."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator, Field

from worker.settings.base import Unit

__all__ = ["Duration", "duration_label", "parse_duration"]

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_WRITTEN = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*(ms|s|m|h|d)?", re.ASCII)


def parse_duration(value: object) -> object:
    """Read a duration: text with a unit (`ms`, `s`, `m`, `h`, `d`), or a number of seconds.

    Returns:
        Seconds; a value that is no text as it is.

    Raises:
        ValueError: the text is no duration.
    """
    if not isinstance(value, str):
        return value
    found = _WRITTEN.fullmatch(value.strip())
    if found is None:
        raise ValueError(
            f"{value[:40]!r} is no duration; write 500ms, 10s, 1m, 1h or a number of seconds"
        )
    # Thousandths are exact enough, and 0.1 * 60 is not 6.
    return round(float(found[1]) * _UNITS[found[2] or "s"], 3)


def duration_label(seconds: float) -> str:
    """Write a duration in the largest unit that gives a whole number.

    Returns:
        Such as `10m`, `90s` or `250ms`; the same for all spellings of one duration.
    """
    milliseconds = round(seconds * 1000)
    for unit in ("d", "h", "m", "s"):
        each = round(_UNITS[unit] * 1000)
        if milliseconds % each == 0:
            return f"{milliseconds // each}{unit}"
    return f"{milliseconds}ms"


Duration = Annotated[
    float,
    Field(ge=0.001, le=86_400),
    BeforeValidator(parse_duration, json_schema_input_type=float | str),
    Unit("seconds"),
]
"""A time from a millisecond to a day."""
