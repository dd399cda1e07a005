"""Brokers that do not answer hold polls up for a bounded time; what is not ready is not sought."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import (
    KafkaTimeoutError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)

from worker.kafka.assignment import Assignment
from worker.kafka.positions import Positions
from worker.metrics import Metrics


class Silent:
    """A consumer whose brokers do not tell where a partition begins."""

    async def beginning_offsets(self, partitions: list[TopicPartition]) -> dict[str, int]:
        await asyncio.sleep(3600)
        return {}


async def test_brokers_that_do_not_answer_hold_the_polls_up_for_a_bounded_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("worker.kafka.positions.TIMEOUT", 0.01)
    partition, assignment = TopicPartition("jobs", 0), Assignment()
    assignment.assign([partition])
    positions = Positions(Silent(), "jobs", assignment, "earliest", Metrics())
    with pytest.raises(KafkaTimeoutError):
        await positions.resolve(NoOffsetForPartitionError(partition))


class Recreated:
    """A consumer whose partition begins at 0 again."""

    def __init__(self) -> None:
        self.sought: list[int] = []

    async def beginning_offsets(self, partitions: list[TopicPartition]) -> dict[object, int]:
        return dict.fromkeys(partitions, 0)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.sought.append(offset)


@pytest.mark.parametrize("ready", [False, True])
async def test_a_partition_begins_anew_only_once_it_may_be_read(ready: bool) -> None:
    partition, assignment, consumer = TopicPartition("jobs", 0), Assignment(), Recreated()
    assignment.assign([partition])
    before = assignment.current(partition)
    before.ready = ready
    positions = Positions(consumer, "jobs", assignment, "earliest", Metrics())
    await positions.resolve(OffsetOutOfRangeError({partition: 90}))
    assert (assignment.current(partition) is before) != ready
    assert consumer.sought == [0] * ready
