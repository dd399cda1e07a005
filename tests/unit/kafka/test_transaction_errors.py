"""What errors of transactions mean, under all the names that they come with."""

from __future__ import annotations

import pytest
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    InvalidProducerEpoch,
    InvalidTxnState,
    KafkaConnectionError,
    KafkaError,
    OutOfOrderSequenceNumber,
    ProducerFenced,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    for_code,
)

from worker.kafka.broker_errors import name_all_codes
from worker.kafka.transaction_errors import Trouble, judge

name_all_codes()


def wrapped(error: Exception) -> KafkaError:
    """As aiokafka tells of what ended its sending task."""
    outer = KafkaError("Unexpected error during batch delivery")
    outer.__cause__ = error
    return outer


@pytest.mark.parametrize(
    "error", [ProducerFenced(), InvalidProducerEpoch(), for_code(90)(), wrapped(for_code(90)())]
)
def test_a_newer_epoch_is_a_fence(error: Exception) -> None:
    assert judge(error) is Trouble.FENCED


@pytest.mark.parametrize(
    "error",
    [
        TransactionalIdAuthorizationFailed("id"),
        GroupAuthorizationFailedError("group"),
        TopicAuthorizationFailedError({"results"}),
        ClusterAuthorizationFailedError(),
        wrapped(TransactionalIdAuthorizationFailed("id")),
    ],
)
def test_rights_can_be_granted(error: Exception) -> None:
    assert judge(error) is Trouble.FORBIDDEN


@pytest.mark.parametrize(
    "error",
    [
        KafkaConnectionError(),
        OutOfOrderSequenceNumber(),
        InvalidTxnState(),
        TimeoutError(),
        wrapped(ValueError()),
    ],
)
def test_anything_else_asks_for_a_new_producer(error: Exception) -> None:
    assert judge(error) is Trouble.FAILED
