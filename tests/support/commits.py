"""What tests of commits do to an assignment, and the failure of a commit."""

from __future__ import annotations

import asyncio

from aiokafka import TopicPartition

from worker.kafka.assignment import Assignment
from worker.metrics import Metrics

__all__ = ["fails", "settle", "track"]

BOUND = 20.0


async def fails(metrics: Metrics, count: int) -> None:
    """Wait until so many more commits have failed, or wait for their answer for too long."""
    labels = {"outcome": "failure"}

    def failed() -> float:
        return metrics.registry.get_sample_value("classify_commits_total", labels) or 0.0

    enough = failed() + count
    async with asyncio.timeout(BOUND):
        while failed() < enough:  # noqa: ASYNC110 - a counter has no event
            await asyncio.sleep(0.005)


def settle(assignment: Assignment, partition: TopicPartition, *offsets: int) -> None:
    state = assignment.get(partition)
    assert state is not None
    for offset in offsets:
        state.ledger.settle(offset)


def track(assignment: Assignment, partition: TopicPartition, *offsets: int) -> None:
    state = assignment.get(partition)
    assert state is not None
    for offset in offsets:
        state.ledger.track(offset)
