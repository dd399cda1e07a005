"""Moments as people write them: `2h` ago, a date, a date and a time."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from worker.errors import SettingsError

__all__ = ["moment_ms", "moment_text"]

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_AGO = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)\s*([smhdw])")
_MILLISECONDS = re.compile(r"[0-9]{9,15}")


def moment_ms(text: str, now: float, option: str) -> int:
    """Read a moment.

    Args:
        text: `90s`, `15m`, `2h`, `3d` or `1w` for so long ago; or a date or a date and a time as
            ISO 8601 has them, in UTC unless an offset says otherwise; or milliseconds since the
            epoch, as records have them.
        now: seconds since the epoch.
        option: what the text was given for, for the error.

    Returns:
        Milliseconds since the epoch, not below 0: brokers take no others.

    Raises:
        SettingsError: it is none of these.
    """
    text = text.strip()
    if ago := _AGO.fullmatch(text):
        return max(0, round(1000 * (now - float(ago[1]) * _UNITS[ago[2]])))
    if _MILLISECONDS.fullmatch(text):
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise SettingsError(
            f"{option} {text!r} is no moment: write 2h (that long ago; s, m, h, d, w), "
            "2026-11-26, or 2026-11-26T10:30 (UTC, unless it ends in an offset such as +02:00)"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0, round(1000 * moment.timestamp()))


def moment_text(timestamp_ms: int | None) -> str | None:
    """Write a record's timestamp for people and scripts.

    Returns:
        ISO 8601 in UTC, to the millisecond; None where there is no timestamp.
    """
    if timestamp_ms is None or timestamp_ms < 0:
        return None
    try:
        moment = datetime.fromtimestamp(timestamp_ms / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
