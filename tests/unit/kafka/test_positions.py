"""Brokers that do not answer hold the polls up for a bounded time."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaTimeoutError, NoOffsetForPartitionError

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
