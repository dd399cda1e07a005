"""The exposition as a whole: names, units, help, labels, and what a scrape reads when it comes."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from pathlib import Path

import pytest
from prometheus_client import Metric
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.parser import text_string_to_metric_families

import worker.metrics
from worker.errors import TRANSIENT_REASONS, Failure, Reason, Stage
from worker.inference.batcher import CloseReason
from worker.metrics import Metrics, PartitionProgress
from worker.metrics.labels import BATCH_WAIT
from worker.metrics.scraped import Scraped

UNITS = ("_seconds", "_bytes", "_images", "_records", "_ratio")
BOUNDED = {
    "outcome",
    "reason",
    "stage",
    "cause",
    "topic",
    "partition",
    "le",
    "name",
    "digest",
    "device",
    "direction",
    "version",
    "backend",
    "class",
    "client",
    "gpu",
    "group",
    "kind",
    "replica",
    "slot",
    "when",
}
"""Labels whose values come from code or settings, never from a job."""


def families(metrics: Metrics) -> dict[str, Metric]:
    return {
        family.name: family
        for family in text_string_to_metric_families(metrics.render())
        if family.name.startswith("classify_")
    }


@pytest.fixture
def used() -> Metrics:
    """Metrics in each of which something has happened."""
    metrics = Metrics()
    for reason in Reason:
        metrics.jobs.labels("failure", reason.label).inc()
        metrics.dead_letters.labels(reason.stage.value, reason.label).inc()
    metrics.jobs.labels("success", "ok").inc()
    for stage in (*Stage, BATCH_WAIT):
        with metrics.time_stage(stage):
            pass
    metrics.batches.labels("full").inc()
    metrics.commits.labels("success").inc()
    metrics.reduced.labels("results").inc()
    metrics.predictor_restarts.labels("crash").inc()
    metrics.model.info({"name": "m", "digest": "sha256:0", "device": "cpu"})
    metrics.build.info({"version": "1"})
    metrics.worker.info({"group": "g", "replica": "r", "topic": "jobs"})
    metrics.best_score.labels("sha256:0").observe(0.9)
    metrics.score_entropy.labels("sha256:0").observe(0.1)
    metrics.predictions.labels("sha256:0", "cat").inc()
    metrics.watch_partitions(lambda: [PartitionProgress("jobs", 0, 3, 1.5)])
    return metrics


def test_each_metric_has_help_that_says_more_than_its_name(used: Metrics) -> None:
    for name, family in families(used).items():
        if not name.endswith("_created"):
            assert len(family.documentation) > 20, name
            assert family.documentation.endswith("."), name


def test_times_and_sizes_carry_their_unit_in_the_name(used: Metrics) -> None:
    for name, family in families(used).items():
        measured = {"duration", "latency", "lag", "age", "bytes"} & set(name.split("_"))
        if family.type == "histogram" or measured:
            assert name.removesuffix("_created").endswith(UNITS), name
        assert not re.search("_(ms|millis|kb|mib)", name)


def test_counters_end_in_total(used: Metrics) -> None:
    for family in families(used).values():
        if family.type == "counter":
            assert {sample.name for sample in family.samples} <= {
                f"{family.name}_total",
                f"{family.name}_created",
            }


def test_no_label_can_take_values_without_bound(used: Metrics) -> None:
    for family in families(used).values():
        for sample in family.samples:
            assert set(sample.labels) <= BOUNDED, sample


def test_buckets_are_close_around_common_objectives_and_ascend(used: Metrics) -> None:
    for family in families(used).values():
        if family.type == "histogram":
            buckets = [s.labels for s in family.samples if s.name.endswith("_bucket")]
            series = {key: value for key, value in buckets[0].items() if key != "le"}
            first = [float(labels["le"]) for labels in buckets if series.items() <= labels.items()]
            assert first == sorted(set(first)), family.name
            assert 10 <= len(first) <= 25, family.name


def test_no_metric_is_dead() -> None:
    sources = "".join(
        path.read_text("utf-8")
        for path in Path(worker.__path__[0]).rglob("*.py")
        if path != Path(worker.metrics.__file__)
    )
    for name, value in vars(Metrics()).items():
        if isinstance(value, MetricWrapperBase | Scraped):
            assert re.search(rf"metrics\.{name}\b", sources), f"{name} is never set"


def test_a_stage_is_measured_however_it_ends() -> None:
    metrics = Metrics()
    with pytest.raises(RuntimeError), metrics.time_stage(Stage.DRAW):
        raise RuntimeError
    count = metrics.registry.get_sample_value(
        "classify_stage_duration_seconds_count", {"stage": "draw"}
    )
    assert count == 1


def test_partitions_are_read_at_each_scrape_and_leave_no_series_behind() -> None:
    metrics = Metrics()
    progress: list[PartitionProgress] = []

    def watch() -> Iterable[PartitionProgress]:
        return iter(progress)

    metrics.watch_partitions(watch)
    assert families(metrics)["classify_partition_lag_records"].samples == []
    progress += [PartitionProgress("jobs", 0, 7, 2.5), PartitionProgress("jobs", 1, None, 0.0)]

    def values(name: str) -> dict[str, float]:
        return {
            sample.labels["partition"]: sample.value for sample in families(metrics)[name].samples
        }

    assert values("classify_partition_lag_records") == {"0": 7}
    assert values("classify_partition_oldest_unprocessed_age_seconds") == {"0": 2.5, "1": 0}
    del progress[0]
    assert values("classify_partition_oldest_unprocessed_age_seconds") == {"1": 0}


def test_two_workers_in_one_process_do_not_share_numbers() -> None:
    one, other = Metrics(), Metrics()
    one.images.inc(5)
    assert other.registry.get_sample_value("classify_images_total") == 0


def test_the_process_itself_is_shown() -> None:
    text = Metrics().render()
    assert "process_resident_memory_bytes" in text
    assert "python_info" in text


def test_reasons_and_stages_are_fit_for_labels() -> None:
    labels = [reason.label for reason in Reason]
    assert len(set(labels)) == len(labels)
    assert all(re.fullmatch("[a-z0-9_]+", label) for label in [*labels, *Stage])
    failure = Failure(Reason.TOO_LARGE, "", Stage.FETCH)
    assert failure.status == 413


def test_every_counter_is_there_at_the_first_scrape_with_all_its_labels() -> None:
    metrics = Metrics()
    metrics.expect_slots(2)
    metrics.expect_kafka("results", "dead")
    metrics.expect_retries(["10s", "1m"])
    found: dict[str, set[tuple[str, ...]]] = {}
    for family in metrics.collect():
        if family.name.startswith("classify_") and family.type == "counter":
            for sample in family.samples:
                assert sample.value == 0, sample
                found.setdefault(family.name, set()).add(tuple(sample.labels.values()))
    reasons = {reason.label for reason in Reason}
    jobs = {("success", "ok"), *(("failure", reason) for reason in reasons)}
    topics, slots = {("results",), ("dead",)}, {("0",), ("1",)}
    causes = {("rebalance",), ("shutdown",)}
    assert found["classify_jobs"] == jobs
    assert found["classify_http_requests"] == jobs | {("failure", "disconnected")}
    assert found["classify_dead_letters"] == set(itertools.product(Stage, reasons))
    passing = {reason.label for reason in TRANSIENT_REASONS}
    assert found["classify_retries"] == set(itertools.product(("10s", "1m"), passing))
    assert found["classify_batches"] == {(reason,) for reason in CloseReason}
    assert found["classify_reduced_messages"] == found["classify_set_aside_messages"] == topics
    assert found["classify_predictor_busy_seconds"] == slots
    assert found["classify_predictor_cpu_seconds"] == slots
    assert found["classify_predictor_restarts"] == {("crash",), ("timeout",)}
    assert found["classify_memory_shortages"] == {("decode",), ("draw",)}
    assert found["classify_commits"] == {("success",), ("failure",)}
    assert found["classify_drain_overruns"] == causes
    assert found["classify_expired_jobs"] == {("before_start",), ("under_way",)}
    assert found["classify_unreadable_batches"] == {("content",), ("damage",)}
    missing = {
        family.name
        for family in metrics.collect()
        if family.type == "counter" and not family.samples
    }
    # Its labels are the model's, which is not known yet.
    assert missing == {"classify_predictions"}
