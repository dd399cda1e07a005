"""Latency at a given load, counted from when each job was due, and its percentiles.

A client that waits for an answer before it sends the next job sends none while the worker is held
up, so it never sees most of the delay: coordinated omission. Here each job has a moment at which it
is due, whatever became of those before, and its latency begins then, even if it was sent late.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

__all__ = ["PERCENTILES", "due_times", "latencies", "percentile", "percentiles"]

PERCENTILES = (50.0, 90.0, 99.0, 99.9)


def due_times(rate: float, seconds: float) -> list[float]:
    """Plan an open loop: jobs at even distances.

    Args:
        rate: jobs per second, more than 0.

    Returns:
        When each job is due, in seconds from the beginning.
    """
    return [number / rate for number in range(max(1, round(rate * seconds)))]


def latencies(due: Sequence[float], done: Mapping[int, float]) -> list[float]:
    """Count from when jobs were due.

    Args:
        due: the moment of each job.
        done: when jobs ended, on the same clock, by number.

    Returns:
        Seconds of those that ended, sorted.

    Raises:
        ValueError: a job ended before it was due: the clocks are not the same.
    """
    found = sorted(at - due[number] for number, at in done.items())
    if found and found[0] < 0:
        raise ValueError(f"a job ended {-found[0]:g} s before it was due")
    return found


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Take the smallest value that at least `percent` % of the values do not exceed: nearest rank.

    Args:
        ordered: sorted, at least one.

    Returns:
        One of the values; nothing is interpolated.
    """
    rank = math.ceil(round(percent / 100 * len(ordered), 9))
    return ordered[max(1, rank) - 1]


def percentiles(ordered: Sequence[float]) -> dict[str, float]:
    """Write the percentiles that reports show.

    Args:
        ordered: seconds, sorted, at least one.

    Returns:
        Milliseconds by name, such as `p99.9`, which is the largest of fewer than 1000 values.
    """
    return {f"p{percent:g}": percentile(ordered, percent) * 1000 for percent in PERCENTILES}
