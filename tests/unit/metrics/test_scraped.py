"""Metrics that are read at each scrape."""

from __future__ import annotations

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from worker.metrics.scraped import Scraped


def test_a_counter_without_labels_begins_at_0_and_others_have_no_samples() -> None:
    registry = CollectorRegistry()
    Scraped(CounterMetricFamily, "a_seconds", "A sentence.", registry=registry)
    Scraped(CounterMetricFamily, "b_seconds", "A sentence.", ["slot"], registry=registry)
    Scraped(GaugeMetricFamily, "c_seconds", "A sentence.", registry=registry)
    assert [len(family.samples) for family in registry.collect()] == [1, 0, 0]
    assert registry.get_sample_value("a_seconds_total") == 0


def test_it_is_read_anew_at_each_scrape() -> None:
    registry = CollectorRegistry()
    metric = Scraped(CounterMetricFamily, "a_seconds", "A sentence.", ["slot"], registry=registry)
    seconds = [1.0]
    metric.read = lambda: [((str(slot),), value) for slot, value in enumerate(seconds)]
    assert registry.get_sample_value("a_seconds_total", {"slot": "0"}) == 1
    seconds[:] = [2.0, 5.0]
    assert registry.get_sample_value("a_seconds_total", {"slot": "0"}) == 2
    assert registry.get_sample_value("a_seconds_total", {"slot": "1"}) == 5


def test_registering_reads_nothing() -> None:
    class Watched(Scraped):
        def collect(self) -> list[CounterMetricFamily]:
            raise AssertionError("it has no owner yet")

    Watched(CounterMetricFamily, "a_seconds", "A sentence.", registry=CollectorRegistry())
