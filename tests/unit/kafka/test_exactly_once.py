"""Delivery exactly once: when it has producers."""

from __future__ import annotations

from typing import Any, cast

from aiokafka import TopicPartition

from worker.kafka.assignment import Assignment, PartitionState
from worker.kafka.exactly_once import ExactlyOnce
from worker.metrics import Metrics
from worker.settings import Settings

PARTITION = TopicPartition("jobs", 0)


class Consumer:
    """Has nothing to pause; the test says so."""

    def __init__(self) -> None:
        self.paused: list[TopicPartition] = []

    def pause(self, partition: TopicPartition) -> None:
        self.paused.append(partition)


async def test_nothing_begins_that_nobody_would_stop() -> None:
    made: list[str] = []
    nothing = cast("Any", None)
    delivery = ExactlyOnce(
        cast("Any", made.append), Settings(), nothing, nothing, nothing, Metrics()
    )
    consumer = Consumer()
    delivery.attach(cast("Any", consumer), Assignment())
    await delivery.stop(1.0)
    # The group assigns partitions while the worker leaves it.
    delivery.begin([PartitionState(PARTITION)])
    assert (consumer.paused, made) == ([], [])
    assert delivery.connected
