"""Topics as brokers describe them, and what is said about each."""

from __future__ import annotations

from dataclasses import replace

import pytest

from demo.ports import free_ports
from worker.doctor.findings import Status
from worker.doctor.kafka import judge_topic, look_at_kafka
from worker.kafka.inspection import Cluster, TopicState
from worker.settings import KafkaSettings, RetrySettings, Settings

GOOD = TopicState(
    partitions=6,
    replicas=3,
    in_sync=3,
    config={
        "max.message.bytes": "10485760",
        "cleanup.policy": "delete",
        "min.insync.replicas": "2",
    },
)
RESULTS = "image-results"
JOBS = "image-jobs"


def judged(
    state: TopicState | None, name: str = RESULTS, *, brokers: int = 3, create: bool = False
) -> tuple[Status, str, str]:
    cluster = Cluster(brokers, 0.01, {}, {} if state is None else {name: state})
    settings = Settings(kafka=KafkaSettings(create_topics=create))
    finding = judge_topic("Topic", name, cluster, settings)
    return finding.status, finding.found, finding.remedy


def test_a_good_topic_is_shown_with_its_sizes_and_policies() -> None:
    assert judged(GOOD) == (
        Status.OK,
        (
            "image-results: 6 partition(s), 3 replica(s), max.message.bytes 10485760, "
            "cleanup.policy delete, min.insync.replicas 2"
        ),
        "",
    )


@pytest.mark.parametrize(
    ("changes", "in_sync", "name", "status", "remedy"),
    [
        ({"cleanup.policy": "compact"}, 3, RESULTS, Status.FAIL, "cleanup.policy=delete"),
        ({"cleanup.policy": "compact"}, 3, JOBS, Status.WARN, "cleanup.policy=delete"),
        ({"min.insync.replicas": "3"}, 2, RESULTS, Status.FAIL, "no result can be written"),
        ({"min.insync.replicas": "3"}, 2, JOBS, Status.WARN, "no job can be written"),
        ({"max.message.bytes": "1048588"}, 3, RESULTS, Status.WARN, "raise max.message.bytes to"),
        ({"max.message.bytes": "1048588"}, 3, JOBS, Status.OK, ""),
    ],
)
def test_what_is_wrong_with_a_topic(
    changes: dict[str, str], in_sync: int, name: str, status: Status, remedy: str
) -> None:
    state = replace(GOOD, in_sync=in_sync, config=GOOD.config | changes)  # type: ignore[operator]
    found, _, said = judged(state, name)
    assert found is status
    assert remedy in said
    assert bool(said) is (status is not Status.OK)


def test_one_replica_is_enough_only_for_one_broker() -> None:
    alone = replace(GOOD, replicas=1, in_sync=1, config=GOOD.config | {"min.insync.replicas": "1"})  # type: ignore[operator]
    assert judged(alone, brokers=1)[0] is Status.OK
    assert judged(alone)[0] is Status.WARN


def test_a_missing_topic_is_created_or_asked_for() -> None:
    assert judged(None, create=True)[0] is Status.OK
    status, _, remedy = judged(None)
    assert status is Status.FAIL
    assert "kafka.create_topics" in remedy


def test_a_configuration_that_may_not_be_read_is_a_warning() -> None:
    status, _, remedy = judged(replace(GOOD, config={}))
    assert status is Status.WARN
    assert "DESCRIBE_CONFIGS" in remedy


def test_no_broker_is_one_finding_with_the_cause() -> None:
    (port,) = free_ports(1)
    kafka = KafkaSettings(bootstrap_servers=f"127.0.0.1:{port}")
    (found,) = look_at_kafka(Settings(kafka=kafka), 30.0)
    assert (found.subject, found.status) == ("Brokers", Status.FAIL)
    assert "nothing listens there" in found.remedy


def test_jobs_that_are_too_large_for_a_retry_topic_are_told_of() -> None:
    settings = Settings(retry=RetrySettings(delays=(10.0,)))
    name = "image-jobs-retry-10s"
    small = replace(GOOD, config={**GOOD.config, "max.message.bytes": "1048588"})
    finding = judge_topic("Retry topic", name, Cluster(3, 0.01, {}, {name: small}), settings)
    assert finding.status is Status.WARN
    assert "jobs that are larger fail at once instead: raise max.message.bytes" in finding.remedy
