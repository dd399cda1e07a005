"""Why a producer of transactions does not start, and what to change."""

from __future__ import annotations

import pytest
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    IncompatibleBrokerVersion,
    KafkaError,
    TransactionalIdAuthorizationFailed,
    for_code,
)

from worker.kafka.broker_errors import name_all_codes
from worker.kafka.transaction_check import explain, transactional_id

name_all_codes()
NAME = transactional_id("group", "jobs", "check")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (TransactionalIdAuthorizationFailed(NAME), "WRITE and DESCRIBE"),
        (ClusterAuthorizationFailedError(), "IDEMPOTENT_WRITE"),
        (for_code(50)(), "lower transactions.timeout"),
        (IncompatibleBrokerVersion("no"), "older than Apache Kafka 0.11"),
        (for_code(35)(), "older than Apache Kafka 0.11"),
        (KafkaError("something else"), "KafkaError: something else"),
    ],
)
def test_each_refusal_names_its_remedy(error: KafkaError, said: str) -> None:
    assert said in explain(error, NAME, 60.0)


def test_the_rights_are_those_of_all_partitions() -> None:
    said = explain(TransactionalIdAuthorizationFailed(NAME), NAME, 60.0)
    assert "begin with group-jobs- " in said


def test_a_wrapped_error_is_seen_through() -> None:
    outer = KafkaError("Unexpected error")
    outer.__cause__ = for_code(50)()
    assert "60 s" in explain(outer, NAME, 60.0)


def test_an_id_names_group_topic_and_partition() -> None:
    assert transactional_id("group", "jobs", 7) == "group-jobs-7"
