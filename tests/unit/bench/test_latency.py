"""Percentiles, and latency counted from when a job was due."""

from __future__ import annotations

import pytest

from worker.bench.latency import due_times, latencies, percentile, percentiles


def test_jobs_are_due_at_even_distances() -> None:
    assert due_times(4.0, 1.0) == [0.0, 0.25, 0.5, 0.75]


def test_there_is_at_least_one_job() -> None:
    assert due_times(0.1, 1.0) == [0.0]


def test_a_worker_that_stands_still_costs_all_jobs_that_were_due_meanwhile() -> None:
    # It does nothing for a second, then ten jobs at once: each waited since it was due.
    due = due_times(10.0, 1.0)
    found = latencies(due, dict.fromkeys(range(10), 1.0))
    assert found == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])


def test_latencies_are_sorted_whatever_the_order_of_the_results() -> None:
    assert latencies([0.0, 1.0, 2.0], {2: 2.5, 0: 3.0, 1: 1.25}) == [0.25, 0.5, 3.0]


def test_a_job_that_ends_before_it_is_due_shows_that_clocks_differ() -> None:
    with pytest.raises(ValueError, match=r"ended 0\.5 s before it was due"):
        latencies([1.0], {0: 0.5})


@pytest.mark.parametrize(
    ("percent", "expected"),
    [(50.0, 50.0), (90.0, 90.0), (99.0, 99.0), (99.9, 100.0), (0.0, 1.0), (100.0, 100.0)],
)
def test_a_percentile_is_the_nearest_rank(percent: float, expected: float) -> None:
    assert percentile([float(number) for number in range(1, 101)], percent) == expected


def test_a_thousand_values_have_a_last_but_one_permille() -> None:
    assert percentile([float(number) for number in range(1, 1001)], 99.9) == 999.0


def test_one_value_is_every_percentile_in_milliseconds() -> None:
    assert percentiles([0.25]) == {"p50": 250.0, "p90": 250.0, "p99": 250.0, "p99.9": 250.0}
