"""Time in stages comes from the worker's own metrics, between two moments."""

from __future__ import annotations

import pytest

from worker.bench.stages import stage_milliseconds
from worker.metrics import Metrics


def test_only_jobs_since_the_first_moment_count() -> None:
    metrics = Metrics()
    metrics.stages.labels("decode").observe(9.0)
    before = stage_milliseconds(metrics.registry.collect())
    metrics.stages.labels("decode").observe(0.002)
    metrics.stages.labels("decode").observe(0.004)
    assert before.until(metrics.registry.collect()) == {"decode": pytest.approx(3.0)}
