"""Figures read from a worker's metrics."""

from __future__ import annotations

import math

import pytest

from demo.errors import DemoError
from demo.figures import quantile, read_figures
from worker.metrics import Metrics

INF = math.inf


@pytest.mark.parametrize(
    ("level", "buckets", "expected"),
    [
        (0.5, [(1.0, 0.0), (2.0, 10.0), (INF, 10.0)], 1.5),
        (0.5, [(1.0, 5.0), (2.0, 10.0), (INF, 10.0)], 1.0),
        (0.9, [(1.0, 5.0), (2.0, 5.0), (4.0, 10.0), (INF, 10.0)], 3.6),
        (0.25, [(1.0, 4.0), (INF, 4.0)], 0.25),
        (0.99, [(1.0, 1.0), (INF, 10.0)], 1.0),
        (0.0, [(1.0, 0.0), (2.0, 4.0), (INF, 4.0)], 1.0),
        (1.0, [(1.0, 0.0), (2.0, 4.0), (3.0, 4.0), (INF, 4.0)], 2.0),
    ],
)
def test_a_quantile_is_interpolated_in_its_bucket(
    level: float, buckets: list[tuple[float, float]], expected: float
) -> None:
    assert quantile(level, buckets) == pytest.approx(expected)


def test_a_quantile_of_nothing_is_not_a_number() -> None:
    assert math.isnan(quantile(0.5, [(1.0, 0.0), (INF, 0.0)]))


def test_figures_of_the_workers_own_exposition() -> None:
    metrics = Metrics()
    metrics.jobs.labels("success", "ok").inc(3)
    metrics.jobs.labels("failure", "not_found").inc()
    metrics.jobs.labels("failure", "corrupt_image").inc()
    for seconds in (0.16, 0.17, 0.18, 0.19, 0.7):
        metrics.latency.observe(seconds)
    figures = read_figures(metrics.render())
    assert (figures.succeeded, figures.failed, figures.jobs) == (3, 2, 5)
    assert figures.latency[0.5] == pytest.approx(0.15 + 0.05 * 2.5 / 4)
    assert 0.5 < figures.latency[0.99] <= 0.75


def test_an_exposition_of_something_else_is_refused() -> None:
    with pytest.raises(DemoError, match="classify_latency_seconds"):
        read_figures("# TYPE up gauge\nup 1\n")
