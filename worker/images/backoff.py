"""How long to wait before trying again."""

from __future__ import annotations

import random
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["backoff_delay", "parse_retry_after"]


def backoff_delay(
    attempt: int,
    initial: float,
    longest: float,
    uniform: Callable[[float, float], float] = random.uniform,
) -> float:
    """Seconds to wait after the `attempt`-th failure (from 1): exponential, with full jitter.

    Drawn evenly between 0 and the exponential bound, so that jobs which failed together do not come
    back together (AWS Architecture Blog, "Exponential Backoff And Jitter").
    """
    # The exponent is bounded because 2.0**1024 overflows.
    return uniform(0.0, min(longest, initial * 2.0 ** min(attempt - 1, 64)))


def parse_retry_after(value: str | None, now: float) -> float | None:
    """Seconds that a `Retry-After` header asks for; None when absent or not understood.

    Args:
        value: the header: seconds, or an HTTP date.
        now: seconds since the epoch, to which a date is compared.
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, OverflowError):
        return None
