"""It shows what prometheus-client's own histogram shows."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram

from worker.metrics.histogram import LoopHistogram

BUCKETS = (0.1, 0.5, 1.0)
amounts = st.lists(st.floats(0, 2) | st.sampled_from([*BUCKETS, 0.0, float("inf")]))


def made(kind: type[Histogram]) -> tuple[Histogram, CollectorRegistry]:
    registry = CollectorRegistry()
    return kind("seconds", "Some.", ["stage"], buckets=BUCKETS, registry=registry), registry


def shown(registry: CollectorRegistry) -> dict[str, float]:
    samples = [sample for family in registry.collect() for sample in family.samples]
    # When it was made is of no interest.
    return {f"{one.name}{one.labels}": one.value for one in samples if "_created" not in one.name}


@given(amounts, amounts)
def test_it_shows_what_prometheus_clients_shows(first: list[float], second: list[float]) -> None:
    (ours, our_registry), (theirs, their_registry) = made(LoopHistogram), made(Histogram)
    for observed in (first, second):
        for histogram in (ours, theirs):
            for number, amount in enumerate(observed):
                histogram.labels(str(number % 2)).observe(amount)
        assert shown(our_registry) == pytest.approx(shown(their_registry))


def test_it_keeps_exemplars() -> None:
    (ours, our_registry), (theirs, their_registry) = made(LoopHistogram), made(Histogram)
    found = []
    for histogram, registry in ((ours, our_registry), (theirs, their_registry)):
        histogram.labels("a").observe(0.3, {"trace_id": "t"})
        samples = [sample for family in registry.collect() for sample in family.samples]
        found.append([one.exemplar and one.exemplar.labels for one in samples])
    assert found[0] == found[1]
    assert {"trace_id": "t"} in found[0]


@pytest.mark.parametrize("fails", [False, True])
def test_it_measures_blocks_that_fail_too(fails: bool) -> None:
    ours, registry = made(LoopHistogram)
    with suppress(ZeroDivisionError), ours.labels("a").time():
        assert 1 / (0 if fails else 1)
    assert registry.get_sample_value("seconds_count", {"stage": "a"}) == 1
    total = registry.get_sample_value("seconds_sum", {"stage": "a"})
    assert total is not None
    assert 0 <= total < 60
