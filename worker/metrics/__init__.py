"""Every metric with its name, unit and meaning. Labels are bounded: no ids, URLs or messages.

Every counter is there from the first scrape on, at 0: the rate of a series that begins at 1 is 0,
and an alert on the first failure would never fire.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Info, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from worker.errors import TRANSIENT_REASONS, Reason, Stage
from worker.metrics.buckets import (
    BATCH_BUCKETS,
    DIFFERENCE_BUCKETS,
    LATENCY_BUCKETS,
    RATIO_BUCKETS,
    SECONDS_BUCKETS,
    STAGE_BUCKETS,
    TRANSACTION_BUCKETS,
)
from worker.metrics.exposition import collect, expose
from worker.metrics.histogram import LoopHistogram, Timed
from worker.metrics.labels import (
    CACHE_OUTCOMES,
    CLIENTS,
    CLOSE_REASONS,
    COMMIT_OUTCOMES,
    DIRECTIONS,
    DISCONNECTED,
    DRAIN_CAUSES,
    EXPIRED,
    IMAGE_RESTART_CAUSES,
    IMAGE_STAGES,
    MODEL_CHANGES,
    OUTCOMES,
    RESTART_CAUSES,
    SHADOW_OUTCOMES,
    STAGES,
    TRANSACTION_OUTCOMES,
    TURNED_AWAY,
    UNREADABLE_KINDS,
)
from worker.metrics.scraped import PartitionMetrics, PartitionProgress, Scraped

__all__ = ["MOST_MODELS", "Metrics", "PartitionProgress"]

MOST_MODELS = 4
"""Models whose answers have series: the one that answers, and those before it."""


class Metrics:
    """All metrics of one worker, in their own registry."""

    def __init__(self) -> None:  # noqa: PLR0915 - the one list of them
        self.registry = CollectorRegistry()
        counter = partial(Counter, registry=self.registry)
        gauge = partial(Gauge, registry=self.registry)
        histogram = partial(LoopHistogram, registry=self.registry)
        info = partial(Info, registry=self.registry)
        scraped = partial(Scraped, registry=self.registry)

        # Jobs and requests.
        self.jobs = counter(
            "classify_jobs",
            "Jobs that ended, by outcome (success, failure) and reason (ok, or why it failed).",
            ["outcome", "reason"],
        )
        self.latency = histogram(
            "classify_latency_seconds",
            "From the record's timestamp to the acknowledged result.",
            buckets=LATENCY_BUCKETS,
        )
        self.stages = histogram(
            "classify_stage_duration_seconds",
            "Time per job in a stage: fetch, decode, batch_wait, infer, draw, publish.",
            ["stage"],
            buckets=STAGE_BUCKETS,
        )
        self._of_stage: dict[str, LoopHistogram] = {}
        # Invariant: at most MOST_MODELS digests, the model that answers last.
        self._models: list[str] = []
        self.in_flight = gauge("classify_jobs_in_flight", "Jobs taken in and not yet ended.")
        self.buffered = gauge(
            "classify_buffered_bytes", "Bytes of records and images held by jobs in flight."
        )
        self.expired = counter(
            "classify_expired_jobs",
            "Jobs whose deadline passed, before_start (they waited too long) or under_way.",
            ["when"],
        )
        self.retries = counter(
            "classify_retries",
            "Jobs that failed for a passing reason and are tried again, by delay and reason.",
            ["delay", "reason"],
        )
        self.duplicates = counter(
            "classify_duplicate_jobs",
            "Records without an answer, since their jobId was answered before.",
        )
        self.abandoned = counter(
            "classify_abandoned_jobs",
            "Jobs given up unanswered with their partition; they are delivered again.",
        )
        self.requests = counter(
            "classify_http_requests",
            "Requests to classify, by outcome (success, failure) and reason (ok, or why).",
            ["outcome", "reason"],
        )
        self.request_duration = histogram(
            "classify_http_request_duration_seconds",
            "From a request's headers to its response.",
            buckets=LATENCY_BUCKETS,
        )
        self.requests_in_flight = gauge(
            "classify_http_requests_in_flight", "Requests to classify that are under way."
        )
        self.requests_buffered = gauge(
            "classify_http_buffered_bytes", "Bytes of bodies and images held by requests under way."
        )

        self.connections = gauge(
            "classify_http_connections", "Connections that clients have to the HTTP server."
        )
        self.turned_away = counter(
            "classify_http_turned_away",
            "Clients turned away, by cause: token, certificate, no_room, made_room (for another).",
            ["cause"],
        )

        # Images.
        self.fetch_attempts = counter(
            "classify_fetch_attempts",
            "Attempts to fetch an image that failed and were followed by another.",
        )
        self.image_processes = gauge(
            "classify_image_processes", "Processes that are up to decode and draw images."
        )
        self.image_process_restarts = counter(
            "classify_image_process_restarts",
            "Image processes that ended and were replaced, by cause (crash, killed, cpu, timeout; "
            "parent: with the process that forks them).",
            ["cause"],
        )
        self.image_processes_busy = scraped(
            CounterMetricFamily,
            "classify_image_processes_busy_seconds",
            "Time that image processes spent decoding and drawing, all together.",
        )
        self.image_processes_up = scraped(
            CounterMetricFamily,
            "classify_image_processes_up_seconds",
            "Time that there were image processes, all together, also those for one image alone.",
        )
        self.image_processes_cpu = scraped(
            CounterMetricFamily,
            "classify_image_processes_cpu_seconds",
            "User and system CPU time of all image processes together.",
        )
        self.image_processes_memory = scraped(
            GaugeMetricFamily,
            "classify_image_processes_resident_memory_bytes",
            "Resident memory of all image processes; what they share counts for each.",
        )
        self.queued_images = scraped(
            GaugeMetricFamily,
            "classify_queued_images",
            "Images waiting for a process that decodes or draws them.",
            ["stage"],
        )
        self.memory_shortages = counter(
            "classify_memory_shortages",
            "Attempts to decode or draw an image that got no memory.",
            ["stage"],
        )

        # Results that are kept.
        self.result_cache_lookups = counter(
            "classify_result_cache_lookups",
            "Images looked up in the result cache: hit, shared (with a job under way), or miss.",
            ["outcome"],
        )
        self.result_cache_entries = gauge(
            "classify_result_cache_entries", "Results in the result cache."
        )
        self.result_cache_bytes = gauge(
            "classify_result_cache_bytes", "Bytes of results in the result cache, about."
        )

        # Batches and predictors.
        self.ready_images = gauge("classify_ready_images", "Decoded images waiting for a batch.")
        self.images = counter("classify_images", "Images that went through the predictor.")
        self.batch_size = histogram(
            "classify_batch_size_images", "Images per predictor run.", buckets=BATCH_BUCKETS
        )
        self.batches = counter(
            "classify_batches",
            "Batches by why they closed: full, shared, drained, lingered.",
            ["reason"],
        )
        self.predictor_slots = gauge("classify_predictor_slots", "Predictor processes that are up.")
        self.predictor_restarts = counter(
            "classify_predictor_restarts",
            "Predictor processes started again, by cause (crash, timeout).",
            ["cause"],
        )
        self.predictor_busy = scraped(
            CounterMetricFamily,
            "classify_predictor_busy_seconds",
            "Time that a predictor slot spent computing batches.",
            ["slot"],
        )
        self.predictor_cpu = scraped(
            CounterMetricFamily,
            "classify_predictor_cpu_seconds",
            "User and system CPU time of a slot's predictor process; begins again with each.",
            ["slot"],
        )
        self.predictor_memory = scraped(
            GaugeMetricFamily,
            "classify_predictor_resident_memory_bytes",
            "Resident memory of a slot's predictor process; 0 while there is none.",
            ["slot"],
        )
        self.gpu_utilization = scraped(
            GaugeMetricFamily,
            "classify_gpu_utilization_ratio",
            "Share of time in which the GPU computed lately, for any process (from NVML).",
            ["gpu"],
        )
        self.gpu_memory_used = scraped(
            GaugeMetricFamily,
            "classify_gpu_memory_used_bytes",
            "Memory of the GPU in use, by any process (from NVML).",
            ["gpu"],
        )
        self.gpu_memory_total = scraped(
            GaugeMetricFamily,
            "classify_gpu_memory_total_bytes",
            "Memory that the GPU has (from NVML).",
            ["gpu"],
        )

        # Answers.
        self.predictions = counter(
            "classify_predictions",
            "Images by best class: the first 100 that occur, others as other; none has no answer.",
            ["digest", "class"],
        )
        self.best_score = histogram(
            "classify_best_score_ratio",
            "Score of an image's best class, 0 to 1.",
            ["digest"],
            buckets=RATIO_BUCKETS,
        )
        self.score_entropy = histogram(
            "classify_score_entropy_ratio",
            "Entropy of an image's scores: 0 if one class has all, 1 if all are equal.",
            ["digest"],
            buckets=RATIO_BUCKETS,
        )

        self.drift_index = scraped(
            GaugeMetricFamily,
            "classify_drift_stability_index",
            "Population stability index of the last answers against drift.baseline, by kind "
            "(classes, scores, entropies).",
            ["digest", "kind"],
        )
        self.drift_window = scraped(
            GaugeMetricFamily,
            "classify_drift_window_images",
            "Last answers that are compared with drift.baseline, up to drift.window.",
            ["digest"],
        )
        self.drift_baseline = scraped(
            GaugeMetricFamily,
            "classify_drift_baseline_fits",
            "1 while drift.baseline is of the model that answers, 0 while it is of another one.",
            ["digest"],
        )

        self.shadow_up = scraped(
            GaugeMetricFamily,
            "classify_shadow_up",
            "1 while the shadow model has a predictor process, else 0.",
            ["name", "digest", "backend"],
        )
        self.shadow_images = counter(
            "classify_shadow_images",
            "Images drawn for the shadow model: agreed or differed in the best class, dropped for "
            "want of an idle core, failed.",
            ["outcome"],
        )
        self.shadow_difference = histogram(
            "classify_shadow_score_difference_ratio",
            "By how much the shadow model's best score was higher or lower than the first model's.",
            ["direction"],
            buckets=DIFFERENCE_BUCKETS,
        )
        self.shadow_duration = histogram(
            "classify_shadow_duration_seconds",
            "Time of the shadow model for one image, on cores that the first model leaves idle.",
            buckets=STAGE_BUCKETS,
        )
        self.shadow_cpu = scraped(
            CounterMetricFamily,
            "classify_shadow_cpu_seconds",
            "User and system CPU time of the shadow model's processes; begins again with each.",
        )
        self.shadow_memory = scraped(
            GaugeMetricFamily,
            "classify_shadow_resident_memory_bytes",
            "Resident memory of the shadow model's processes.",
        )

        # The model that serves.
        self.model_changes = counter(
            "classify_model_changes",
            "Changes of the model while the worker ran, by outcome: changed, unchanged, bad_model, "
            "check_failed, bad_settings, no_memory, failed.",
            ["outcome"],
        )
        self.model_changing = gauge(
            "classify_model_change_under_way", "1 while a change of the model is under way."
        )

        # Kafka.
        self.partitions = PartitionMetrics(registry=self.registry)
        self.lag_age = scraped(
            GaugeMetricFamily,
            "classify_lag_age_seconds",
            "Time since the brokers last said where the assigned partitions end.",
        )
        self.time_to_drain = scraped(
            GaugeMetricFamily,
            "classify_time_to_drain_seconds",
            "Time until all waiting jobs are done at the present pace; +Inf while none ends.",
        )
        self.connected = gauge(
            "classify_kafka_connected",
            "1 while connected: the consumer to the group's coordinator, the producer to a broker.",
            ["client"],
        )
        self.fetched = gauge(
            "classify_fetched_bytes", "Bytes fetched from the brokers and not yet taken in."
        )
        self.assigned = gauge("classify_assigned_partitions", "Partitions assigned to this worker.")
        self.paused = gauge(
            "classify_paused_partitions",
            "Assigned partitions paused because work is at a limit.",
        )
        self.rebalances = counter("classify_rebalances", "Times that partitions were assigned.")
        self.rebalance_duration = histogram(
            "classify_rebalance_duration_seconds",
            "From the end of intake in a rebalance to the new assignment.",
            buckets=SECONDS_BUCKETS,
        )
        self.drain_duration = histogram(
            "classify_drain_duration_seconds",
            "Time that running jobs got to end, in a rebalance or at shutdown.",
            ["cause"],
            buckets=SECONDS_BUCKETS,
        )
        self.drain_overruns = counter(
            "classify_drain_overruns",
            "Drains whose time was over before all running jobs had ended.",
            ["cause"],
        )
        self.commits = counter(
            "classify_commits", "Offset commits by outcome (success, failure).", ["outcome"]
        )
        self.transactions = counter(
            "classify_transactions",
            "Transactions by outcome (committed, aborted, fenced), with delivery: exactly_once.",
            ["outcome"],
        )
        self.transaction_duration = histogram(
            "classify_transaction_duration_seconds",
            "From the beginning of a transaction to its end, whatever that was.",
            buckets=SECONDS_BUCKETS,
        )
        self.transaction_records = histogram(
            "classify_transaction_records",
            "Jobs in a committed transaction; 0 if only an offset was due.",
            buckets=TRANSACTION_BUCKETS,
        )
        self.last_commit = gauge(
            "classify_last_commit_timestamp_seconds",
            "When offsets were last committed; 0 before the first time.",
        )
        self.lost = counter(
            "classify_lost_records",
            "Records that retention or a deletion removed before the group had read them.",
        )
        self.unreadable_batches = scraped(
            CounterMetricFamily,
            "classify_unreadable_batches",
            "Batches that cannot be read, for their content (answered with errors) or damage.",
            ["kind"],
        )
        self.dead_letters = counter(
            "classify_dead_letters",
            "Records sent to the dead-letter topic, by stage and reason.",
            ["stage", "reason"],
        )
        self.reduced = counter(
            "classify_reduced_messages",
            "Messages that lost their picture (result) or value (dead letter) to fit the topic.",
            ["topic"],
        )
        self.set_aside = counter(
            "classify_set_aside_messages",
            "Messages that their topic refuses for good in every form: the job goes on without.",
            ["topic"],
        )
        self.publish_retries = counter(
            "classify_publish_retries", "Messages that had to be sent again."
        )

        # The process.
        self.loop_lag = gauge(
            "classify_event_loop_lag_seconds",
            "Longest delay of the event loop in the last seconds.",
        )
        self.log_lines_dropped = counter(
            "classify_log_lines_dropped",
            "Log lines dropped because standard error was not read in time.",
        )
        self.cache_free = gauge(
            "classify_cache_free_bytes", "Free space on the disk that holds the cache."
        )
        self.cache_size = gauge(
            "classify_cache_size_bytes", "Size of the disk that holds the cache."
        )
        self.ready = gauge("classify_ready", "1 when assigned, warm and not draining, else 0.")
        self.worker = info(
            "classify_worker", "This replica: its group, its own name, and the jobs topic."
        )
        self.model = info(
            "classify_model", "The model: name, digest, device, and the backend that computes it."
        )
        self.build = info("classify_build", "The worker's version.")
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)

        for outcome in OUTCOMES:
            self.jobs.labels(*outcome)
            self.requests.labels(*outcome)
        self.requests.labels("failure", DISCONNECTED)
        for stage, reason in itertools.product(Stage, Reason):
            self.dead_letters.labels(stage, reason.label)
        for metric, values in (
            (self.stages, STAGES),
            (self.memory_shortages, IMAGE_STAGES),
            (self.expired, EXPIRED),
            (self.result_cache_lookups, CACHE_OUTCOMES),
            (self.batches, CLOSE_REASONS),
            (self.shadow_images, SHADOW_OUTCOMES),
            (self.shadow_difference, DIRECTIONS),
            (self.predictor_restarts, RESTART_CAUSES),
            (self.turned_away, TURNED_AWAY),
            (self.image_process_restarts, IMAGE_RESTART_CAUSES),
            (self.drain_duration, DRAIN_CAUSES),
            (self.drain_overruns, DRAIN_CAUSES),
            (self.commits, COMMIT_OUTCOMES),
            (self.transactions, TRANSACTION_OUTCOMES),
            (self.model_changes, MODEL_CHANGES),
        ):
            for value in values:
                metric.labels(value)
        self.unreadable_batches.read = lambda: [((kind,), 0.0) for kind in UNREADABLE_KINDS]

    def expect_model(self, digest: str) -> None:
        """Begin the series of a model's answers.

        Those of the last `MOST_MODELS` models stay, and earlier ones end: a worker whose model is
        changed every day would have more of them without end.
        """
        if digest in self._models:
            self._models.remove(digest)
        self._models.append(digest)
        self.best_score.labels(digest)
        self.score_entropy.labels(digest)
        if len(self._models) > MOST_MODELS:
            earliest = self._models.pop(0)
            self.best_score.remove(earliest)
            self.score_entropy.remove(earliest)
            samples = [one for family in self.predictions.collect() for one in family.samples]
            series = {(sample.labels["digest"], sample.labels["class"]) for sample in samples}
            for model, name in series:
                if model == earliest:
                    self.predictions.remove(model, name)

    def expect_slots(self, count: int) -> None:
        """Begin the counters of the predictor slots, before there are any."""
        for metric in (self.predictor_busy, self.predictor_cpu):
            metric.read = lambda: [((str(slot),), 0.0) for slot in range(count)]

    def expect_kafka(self, *topics: str) -> None:
        """Begin what only a worker for Kafka has: its clients, and messages to these topics."""
        for client in CLIENTS:
            self.connected.labels(client)
        for topic in topics:
            self.reduced.labels(topic)
            self.set_aside.labels(topic)

    def expect_retries(self, delays: Iterable[str]) -> None:
        """Begin the counters of retries after these delays."""
        for delay, reason in itertools.product(delays, TRANSIENT_REASONS):
            self.retries.labels(delay, reason.label)

    def watch_partitions(self, progress: Callable[[], Iterable[PartitionProgress]]) -> None:
        """Call `progress` at every scrape, so that a revoked partition leaves no stale series."""
        self.partitions.progress = progress

    def time_stage(self, stage: str) -> Timed:
        """Measure one job's time in a stage, whether the stage succeeds or fails."""
        histogram = self._of_stage.get(stage)
        if histogram is None:
            # Found once: looking it up takes longer than counting.
            histogram = self._of_stage[stage] = self.stages.labels(stage)
        return histogram.time()

    def collect(self) -> list[Metric]:
        """Read all metrics; in the event loop whose state some of them show.

        Returns:
            The metrics, for `expose`.
        """
        return collect(self.registry)

    def render(self) -> str:
        """Write all metrics.

        Returns:
            Prometheus' text format.
        """
        return expose(self.collect()).body.decode()
