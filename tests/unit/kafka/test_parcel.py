"""What takes the place of messages that no topic accepts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from aiokafka import TopicPartition

from worker.contract.jobs import Outcome, Success
from worker.contract.records import Message, Record
from worker.errors import Failure, Reason, Stage
from worker.kafka.assignment import PartitionState
from worker.kafka.broker_errors import TOO_LARGE, Refused
from worker.kafka.outgoing import Outgoing
from worker.kafka.parcel import Parcel, Refusals
from worker.metrics import Metrics

FAILURE = Failure(Reason.RESULT_REFUSED, "refused", Stage.PUBLISH)
RESULT, LETTER = (Outgoing(topic, Message(None, b"x", ())) for topic in ("results", "letters"))
INVALID = Refused("results", 87, "INVALID_RECORD")


def reject(record: Record, refused: Refused) -> tuple[Outcome, Sequence[Outgoing]]:
    return FAILURE, [LETTER]


def parcel(outcome: Outcome, *messages: Outgoing) -> Parcel:
    state = PartitionState(TopicPartition("jobs", 0))
    record = Record("jobs", 0, 0, -1, None, b"", ())
    return Parcel(state, record, outcome, list(messages), delivered=cast("Any", None))


def set_aside(metrics: Metrics, topic: str) -> float | None:
    labels = {"topic": topic}
    return metrics.registry.get_sample_value("classify_set_aside_messages_total", labels)


def test_a_refused_result_becomes_a_dead_letter() -> None:
    metrics, refused = Metrics(), parcel(Success(()), RESULT)
    Refusals(reject, metrics).replace(refused, RESULT, INVALID)
    assert (refused.outcome, refused.messages) == (FAILURE, [LETTER])
    assert set_aside(metrics, "results") == 1


def test_a_result_that_is_too_large_is_not_lost_but_made_anew() -> None:
    metrics, refused = Metrics(), parcel(Success(()), RESULT)
    too_large = Refused("results", TOO_LARGE, "MESSAGE_TOO_LARGE")
    Refusals(reject, metrics).replace(refused, RESULT, too_large)
    assert refused.outcome is FAILURE
    assert refused.refused == []
    assert set_aside(metrics, "results") is None


def test_a_message_about_a_failure_is_set_aside_and_the_others_stay() -> None:
    metrics, refused = Metrics(), parcel(FAILURE, RESULT, LETTER)
    Refusals(reject, metrics).replace(refused, RESULT, INVALID)
    assert (refused.messages, refused.refused) == ([LETTER], [INVALID])
    assert set_aside(metrics, "results") == 1


def test_nothing_changes_without_a_refusal() -> None:
    whole = parcel(Success(()), RESULT)
    Refusals(reject, Metrics()).settle(whole, [])
    assert whole.messages == [RESULT]
