"""Every metric with its name, unit and meaning. Labels are bounded: no ids, URLs or messages.

Histograms have classic buckets, since prometheus-client has no native histograms yet. They are
close together around common latency objectives.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

__all__ = ["BATCH_WAIT", "Metrics", "PartitionProgress"]

BATCH_WAIT = "batch_wait"
"""The `stage` label for the time that a decoded image waits for its batch."""

LATENCY_BUCKETS = (
    0.005,
    0.01,
    0.025,
    0.05,
    0.075,
    0.1,
    0.15,
    0.2,
    0.3,
    0.4,
    0.5,
    0.75,
    1,
    1.5,
    2,
    3,
    5,
    10,
    30,
    60,
    300,
)
STAGE_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
BATCH_BUCKETS = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 128, 256, 512, 1024)


@dataclass(frozen=True, slots=True)
class PartitionProgress:
    """How far one assigned partition is, at the time of a scrape.

    Attributes:
        lag: records between the settled prefix and the partition's end; None before the first
            fetch.
        oldest_age: seconds since the timestamp of the oldest record in flight; 0 when idle.
        unreadable: whether it cannot be read any further.
    """

    topic: str
    partition: int
    lag: int | None
    oldest_age: float
    unreadable: bool = False


class Metrics:
    """All metrics of one worker, in their own registry."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self.jobs = Counter(
            "classify_jobs",
            "Jobs that ended, by outcome (success, failure) and reason (ok, or why it failed).",
            ["outcome", "reason"],
            registry=registry,
        )
        self.requests = Counter(
            "classify_http_requests",
            "Requests to classify, by outcome (success, failure) and reason (ok, or why).",
            ["outcome", "reason"],
            registry=registry,
        )
        self.request_duration = Histogram(
            "classify_http_request_duration_seconds",
            "From a request's headers to its response.",
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        self.requests_in_flight = Gauge(
            "classify_http_requests_in_flight",
            "Requests to classify that are under way.",
            registry=registry,
        )
        self.requests_buffered = Gauge(
            "classify_http_buffered_bytes",
            "Bytes of bodies and images held by requests under way.",
            registry=registry,
        )
        self.images = Counter(
            "classify_images", "Images that went through the predictor.", registry=registry
        )
        self.latency = Histogram(
            "classify_latency_seconds",
            "From the record's timestamp to the acknowledged result.",
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        self.stages = Histogram(
            "classify_stage_duration_seconds",
            "Time per job in a stage: fetch, decode, batch_wait, infer, draw, publish.",
            ["stage"],
            buckets=STAGE_BUCKETS,
            registry=registry,
        )
        self.memory_shortages = Counter(
            "classify_memory_shortages",
            "Attempts to decode or draw an image that got no memory.",
            ["stage"],
            registry=registry,
        )
        self.batch_size = Histogram(
            "classify_batch_size_images",
            "Images per predictor run.",
            buckets=BATCH_BUCKETS,
            registry=registry,
        )
        self.batches = Counter(
            "classify_batches",
            "Batches by why they closed: full, shared, drained, lingered.",
            ["reason"],
            registry=registry,
        )
        self.in_flight = Gauge(
            "classify_jobs_in_flight", "Jobs taken in and not yet ended.", registry=registry
        )
        self.buffered = Gauge(
            "classify_buffered_bytes",
            "Bytes of records and images held by jobs in flight.",
            registry=registry,
        )
        self.fetched = Gauge(
            "classify_fetched_bytes",
            "Bytes fetched from the brokers and not yet taken in.",
            registry=registry,
        )
        self.ready_images = Gauge(
            "classify_ready_images", "Decoded images waiting for a batch.", registry=registry
        )
        self.fetch_attempts = Counter(
            "classify_fetch_attempts",
            "Attempts to fetch an image that failed and were followed by another.",
            registry=registry,
        )
        self.rebalances = Counter(
            "classify_rebalances", "Times that partitions were assigned.", registry=registry
        )
        self.assigned = Gauge(
            "classify_assigned_partitions", "Partitions assigned to this worker.", registry=registry
        )
        self.paused = Gauge(
            "classify_paused_partitions",
            "Assigned partitions paused because work is at a limit.",
            registry=registry,
        )
        self.lost = Counter(
            "classify_lost_records",
            "Records that retention or a deletion removed before the group had read them.",
            registry=registry,
        )
        self.commits = Counter(
            "classify_commits",
            "Offset commits by outcome (success, failure).",
            ["outcome"],
            registry=registry,
        )
        self.abandoned = Counter(
            "classify_abandoned_jobs",
            "Jobs given up unanswered with their partition; they are delivered again.",
            registry=registry,
        )
        self.dead_letters = Counter(
            "classify_dead_letters",
            "Records sent to the dead-letter topic, by stage and reason.",
            ["stage", "reason"],
            registry=registry,
        )
        self.reduced = Counter(
            "classify_reduced_messages",
            "Messages that lost their picture (result) or value (dead letter) to fit the topic.",
            ["topic"],
            registry=registry,
        )
        self.set_aside = Counter(
            "classify_set_aside_messages",
            "Messages that their topic refuses for good in every form: the job goes on without.",
            ["topic"],
            registry=registry,
        )
        self.publish_retries = Counter(
            "classify_publish_retries", "Messages that had to be sent again.", registry=registry
        )
        self.predictor_restarts = Counter(
            "classify_predictor_restarts",
            "Predictor processes started again, by cause (crash, timeout).",
            ["cause"],
            registry=registry,
        )
        self.predictor_slots = Gauge(
            "classify_predictor_slots", "Predictor processes that are up.", registry=registry
        )
        self.loop_lag = Gauge(
            "classify_event_loop_lag_seconds",
            "Longest delay of the event loop in the last seconds.",
            registry=registry,
        )
        self.log_lines_dropped = Counter(
            "classify_log_lines_dropped",
            "Log lines dropped because standard error was not read in time.",
            registry=registry,
        )
        self.ready = Gauge(
            "classify_ready", "1 when assigned, warm and not draining, else 0.", registry=registry
        )
        self.model = Info(
            "classify_model",
            "The model: name, digest, device, and the backend that computes it.",
            registry=registry,
        )
        self.build = Info("classify_build", "The worker's version.", registry=registry)
        self._partitions = _PartitionCollector()
        registry.register(self._partitions)
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)

    def watch_partitions(self, progress: Callable[[], Iterable[PartitionProgress]]) -> None:
        """Call `progress` at every scrape, so that a revoked partition leaves no stale series."""
        self._partitions.progress = progress

    @contextmanager
    def time_stage(self, stage: str) -> Iterator[None]:
        """Measure one job's time in a stage, whether the stage succeeds or fails."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.stages.labels(stage).observe(time.perf_counter() - began)

    def render(self) -> bytes:
        """Write all metrics.

        Returns:
            Prometheus' text format.
        """
        return generate_latest(self.registry)


class _PartitionCollector:
    """Lag, oldest unprocessed age and readability of the partitions, read at each scrape."""

    def __init__(self) -> None:
        self.progress: Callable[[], Iterable[PartitionProgress]] = tuple

    def collect(self) -> Iterable[Metric]:
        lag = GaugeMetricFamily(
            "classify_partition_lag_records",
            "Records between the settled prefix and the partition's end.",
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
        for partition in self.progress():
            labels = [partition.topic, str(partition.partition)]
            if partition.lag is not None:
                lag.add_metric(labels, partition.lag)
            age.add_metric(labels, partition.oldest_age)
            unreadable.add_metric(labels, float(partition.unreadable))
        return [lag, age, unreadable]
