"""Metrics that are read when they are scraped, and cost nothing until then."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

__all__ = ["PartitionMetrics", "PartitionProgress", "Samples", "Scraped"]

Family = type[CounterMetricFamily] | type[GaugeMetricFamily]

Samples = Iterable[tuple[Sequence[str], float]]
"""Values of labels, and the number."""


@dataclass(frozen=True, slots=True)
class PartitionProgress:
    """How far one assigned partition is, at the time of a scrape.

    Attributes:
        lag: records between the committed offset and the partition's end; None before the brokers
            have said where it ends.
        oldest_age: seconds since the timestamp of the oldest record in flight; 0 when idle.
        unreadable: whether it cannot be read any further.
        waiting: whether its records wait on purpose, in a retry topic: then they are no lag.
    """

    topic: str
    partition: int
    lag: int | None
    oldest_age: float
    unreadable: bool = False
    waiting: bool = False


class Scraped:
    """One metric, a counter or a gauge, whose samples are read at each scrape.

    Args:
        family: its type.
        name: without `_total`.
        meaning: one sentence.
        labels: names of its labels.

    Attributes:
        read: returns the samples, each as the labels' values and the number. Before it is set, a
            counter without labels is 0, and all others have no samples.
    """

    def __init__(
        self,
        family: Family,
        name: str,
        meaning: str,
        labels: Sequence[str] = (),
        *,
        registry: CollectorRegistry,
    ) -> None:
        self._family = family
        self._name = name
        self._meaning = meaning
        self._labels = labels
        self.read: Callable[[], Samples] = tuple
        if family is CounterMetricFamily and not labels:
            self.read = lambda: [((), 0.0)]
        registry.register(self)

    def describe(self) -> Iterable[Metric]:
        """Name the metric, so that registering it reads nothing."""
        return [self._family(self._name, self._meaning, labels=self._labels)]

    def collect(self) -> Iterable[Metric]:
        """Read it."""
        family = self._family(self._name, self._meaning, labels=self._labels)
        for labels, value in self.read():
            family.add_metric(labels, value)
        return [family]


class PartitionMetrics:
    """Lag, oldest unprocessed age and readability of the assigned partitions.

    Attributes:
        progress: measures the partitions.
    """

    def __init__(self, *, registry: CollectorRegistry) -> None:
        self.progress: Callable[[], Iterable[PartitionProgress]] = tuple
        registry.register(self)

    def collect(self) -> Iterable[Metric]:
        """Measure them."""
        lag = GaugeMetricFamily(
            "classify_partition_lag_records",
            "Records from the committed offset to the partition's end, a second or two ago.",
            labels=["topic", "partition"],
        )
        age = GaugeMetricFamily(
            "classify_partition_oldest_unprocessed_age_seconds",
            "Age of the oldest record in flight; 0 when idle.",
            labels=["topic", "partition"],
        )
        unreadable = GaugeMetricFamily(
            "classify_partition_unreadable",
            "1 while the partition cannot be read any further, because of damage at the broker.",
            labels=["topic", "partition"],
        )
        waiting = GaugeMetricFamily(
            "classify_retry_waiting_records",
            "Records of a retry topic's partition that wait until they are due, or are being done.",
            labels=["topic", "partition"],
        )
        for partition in self.progress():
            labels = [partition.topic, str(partition.partition)]
            if partition.lag is not None:
                (waiting if partition.waiting else lag).add_metric(labels, partition.lag)
            if not partition.waiting:
                age.add_metric(labels, partition.oldest_age)
            unreadable.add_metric(labels, float(partition.unreadable))
        return [lag, age, unreadable, waiting]
