"""Figures from a worker's `/metrics`, as a dashboard would compute them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from demo.errors import DemoError

__all__ = ["QUANTILES", "Figures", "quantile", "read_figures"]

QUANTILES = (0.5, 0.95, 0.99)

_JOBS = "classify_jobs_total"
_LATENCY = "classify_latency_seconds_bucket"


@dataclass(frozen=True, slots=True)
class Figures:
    """What the worker says of itself.

    Attributes:
        succeeded: jobs answered with categories.
        failed: jobs answered with an error.
        latency: seconds from a record's timestamp to its acknowledged result, by quantile.
    """

    succeeded: int
    failed: int
    latency: Mapping[float, float]

    @property
    def jobs(self) -> int:
        """All jobs answered."""
        return self.succeeded + self.failed


def read_figures(exposition: str) -> Figures:
    """Read the figures in a text exposition.

    Returns:
        The figures.

    Raises:
        DemoError: it lacks the latency histogram.
    """
    jobs = {"success": 0.0, "failure": 0.0}
    buckets: list[tuple[float, float]] = []
    for family in text_string_to_metric_families(exposition):
        for sample in family.samples:
            if sample.name == _JOBS:
                jobs[sample.labels["outcome"]] += sample.value
            elif sample.name == _LATENCY:
                buckets.append((float(sample.labels["le"]), sample.value))
    if not buckets:
        raise DemoError(f"the worker's metrics have no {_LATENCY}")
    buckets.sort()
    latency = {level: quantile(level, buckets) for level in QUANTILES}
    return Figures(int(jobs["success"]), int(jobs["failure"]), latency)


def quantile(level: float, buckets: Sequence[tuple[float, float]]) -> float:
    """Compute a quantile by interpolation within its bucket, like Prometheus' `histogram_quantile`.

    Args:
        level: 0 to 1.
        buckets: (upper bound, cumulative count), ascending, the last bound infinite.

    Returns:
        NaN when nothing was observed; the largest finite bound when the quantile lies beyond it.
    """
    total = buckets[-1][1]
    if total == 0:
        return math.nan
    rank = level * total
    lower, below = 0.0, 0.0
    for upper, count in buckets:
        if count >= rank and count > below:
            if math.isinf(upper):
                break
            return lower + (upper - lower) * (rank - below) / (count - below)
        if not math.isinf(upper):
            lower, below = upper, count
    return lower
