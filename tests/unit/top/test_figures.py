"""Figures from two looks at a worker's metrics, as its own metrics write them."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from prometheus_client.parser import text_string_to_metric_families

from worker.errors import Stage
from worker.metrics import Metrics
from worker.top.figures import Change, Figures, figures, quantile
from worker.top.scrape import Snapshot

SECONDS = 2.0


def snapshot(metrics: Metrics, at: float) -> Snapshot:
    samples: dict[str, dict[frozenset[tuple[str, str]], float]] = {}
    for family in text_string_to_metric_families(metrics.render()):
        for sample in family.samples:
            samples.setdefault(sample.name, {})[frozenset(sample.labels.items())] = sample.value
    return Snapshot(at, samples)


def change(work: Callable[[Metrics], object], metrics: Metrics | None = None) -> Change:
    """What `work` changes within `SECONDS`."""
    metrics = metrics or Metrics()
    before = snapshot(metrics, 10.0)
    work(metrics)
    return Change(before, snapshot(metrics, 10.0 + SECONDS))


def seen(work: Callable[[Metrics], object]) -> Figures:
    return figures([change(work)])


def test_an_idle_worker_does_nothing_and_has_no_quantiles() -> None:
    idle = seen(lambda _: None)
    assert (idle.jobs, idle.failed, idle.latency, idle.batch) == (0.0, 0.0, None, None)
    assert (idle.lag, idle.stages, idle.closed) == (None, {}, {})


def test_jobs_and_requests_are_counted_a_second() -> None:
    def work(metrics: Metrics) -> None:
        metrics.jobs.labels("success", "ok").inc(6)
        metrics.jobs.labels("failure", "not_found").inc(2)
        metrics.requests.labels("success", "ok").inc(2)
        metrics.dead_letters.labels("fetch", "not_found").inc(2)

    done = seen(work)
    assert (done.jobs, done.failed, done.dead_letters) == (5.0, 1.0, 1.0)


def test_memory_is_that_of_all_processes() -> None:
    def work(metrics: Metrics) -> None:
        metrics.predictor_memory.read = lambda: [(("0",), 2.0**40), (("1",), 2.0**40)]
        metrics.image_processes_memory.read = lambda: [((), 2.0**41)]

    assert seen(work).memory >= 2.0**42


def test_what_was_before_does_not_count() -> None:
    metrics = Metrics()
    for _ in range(100):
        metrics.latency.observe(200.0)
    done = figures([change(lambda each: each.latency.observe(0.02), metrics)])
    assert done.latency is not None
    assert all(0.01 < seconds <= 0.025 for seconds in done.latency)


def test_stages_are_means_and_batches_too() -> None:
    def work(metrics: Metrics) -> None:
        for seconds in (0.1, 0.3):
            metrics.stages.labels(Stage.DECODE).observe(seconds)
        metrics.batch_size.observe(4)
        metrics.batch_size.observe(8)
        metrics.batches.labels("full").inc(3)
        metrics.batches.labels("drained").inc()

    done = seen(work)
    assert done.stages == pytest.approx({"decode": 0.2})
    assert done.batch == 6.0
    assert list(done.closed.items()) == [("full", 0.75), ("drained", 0.25)]


def test_busy_is_a_share_of_all_slots() -> None:
    def work(metrics: Metrics) -> None:
        metrics.predictor_slots.set(2)
        metrics.predictor_busy.read = lambda: [(("0",), 1.0), (("1",), 2.0)]

    assert seen(work).slots_busy == pytest.approx(0.75)


def test_image_processes_are_busy_for_a_share_of_the_time_that_they_were_there() -> None:
    def work(metrics: Metrics) -> None:
        # One for each core, and others for slow images, which are gone by now.
        metrics.image_processes.set(1)
        metrics.image_processes_busy.read = lambda: [((), 6.0)]
        metrics.image_processes_up.read = lambda: [((), 8.0)]

    assert seen(work).images_busy == pytest.approx(0.75)
    assert seen(lambda _: None).images_busy is None


def test_a_counter_that_began_anew_counts_from_zero() -> None:
    before, after = Metrics(), Metrics()
    before.jobs.labels("success", "ok").inc(1000)
    after.jobs.labels("success", "ok").inc(4)
    done = figures([Change(snapshot(before, 0.0), snapshot(after, SECONDS))])
    assert done.jobs == 2.0


def test_several_workers_are_added_up() -> None:
    def slow(metrics: Metrics) -> None:
        metrics.jobs.labels("success", "ok").inc(2)
        metrics.latency.observe(2.5)
        metrics.time_to_drain.read = lambda: [((), 30.0)]

    def fast(metrics: Metrics) -> None:
        metrics.jobs.labels("success", "ok").inc(6)
        for _ in range(99):
            metrics.latency.observe(0.02)
        metrics.time_to_drain.read = lambda: [((), 10.0)]

    done = figures([change(slow), change(fast)])
    assert (done.jobs, done.drain) == (4.0, 30.0)
    assert done.latency is not None
    assert done.latency[1] <= 0.025
    assert figures([change(slow)]).latency != done.latency


BUCKETS = {1.0: 2.0, 2.0: 6.0, 4.0: 8.0, math.inf: 8.0}


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, 0.0), (0.25, 1.0), (0.5, 1.5), (0.75, 2.0), (0.875, 3.0), (1, 4)]
)
def test_a_quantile_lies_evenly_within_its_bucket(share: float, expected: float) -> None:
    assert quantile(share, BUCKETS) == pytest.approx(expected)


def test_a_quantile_beyond_all_bounds_is_the_largest_one() -> None:
    assert quantile(0.99, {1.0: 1.0, math.inf: 2.0}) == 1.0


@pytest.mark.parametrize("nothing", [{}, {1.0: 0.0, math.inf: 0.0}])
def test_without_values_there_is_no_quantile(nothing: dict[float, float]) -> None:
    assert quantile(0.5, nothing) is None
