"""Polls that fail end intake when they fail for too long, and not before."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaError

from worker.budget import Budget
from worker.clock import Clock
from worker.health import Heartbeat
from worker.kafka.assignment import Assignment
from worker.kafka.intake import Intake
from worker.metrics import Metrics


class Consumer:
    """A consumer whose polls fail, or succeed, as they are told."""

    def __init__(self, *polls: KafkaError | None) -> None:
        self.polls = list(polls)
        self.damaged: dict[TopicPartition, object] = {}
        self._fetcher = SimpleNamespace(error_future=asyncio.get_running_loop().create_future())

    def assignment(self) -> set[TopicPartition]:
        return set()

    paused = assignment

    def partitions_for_topic(self, topic: str) -> set[int]:
        return set()

    def pause(self, *partitions: TopicPartition) -> None:
        assert not partitions

    resume = pause

    async def getmany(self, *partitions: TopicPartition, **options: Any) -> dict[str, object]:
        assert partitions == (TopicPartition("jobs", -1),), "no partition means all of them"
        await asyncio.sleep(0)
        if not self.polls:
            raise asyncio.CancelledError
        if (error := self.polls.pop(0)) is not None:
            raise error
        return {}


def intake(consumer: Consumer, patience: float) -> tuple[Intake, Heartbeat]:
    heartbeat = Heartbeat(1.0, clock=Clock(iter(range(100)).__next__))
    made = Intake(
        cast("Any", consumer),
        "jobs",
        Assignment(),
        Budget(1, 1),
        lambda state, record, held: asyncio.sleep(0),
        partition_max_jobs=1,
        offset_reset="earliest",
        error_patience=patience,
        heartbeat=heartbeat,
        metrics=Metrics(),
        on_defect=lambda error: None,
        clock=Clock(sleep=lambda seconds: asyncio.sleep(0)),
    )
    return made, heartbeat


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.kafka.intake.POLL_SECONDS", 0.0)


@pytest.mark.usefixtures("no_waiting")
async def test_polls_that_fail_for_too_long_end_intake() -> None:
    polling, heartbeat = intake(Consumer(None, *[KafkaConnectionError("down")] * 3), -1.0)
    with pytest.raises(KafkaConnectionError):
        await polling.run()
    assert heartbeat.last == 1, "a poll that failed is no progress"


@pytest.mark.usefixtures("no_waiting")
async def test_polls_that_fail_for_a_while_do_not() -> None:
    errors = [KafkaConnectionError("down")] * 20
    polling, heartbeat = intake(Consumer(*errors, None, *errors, None), 3600.0)
    with pytest.raises(asyncio.CancelledError):
        await polling.run()
    assert heartbeat.last == 2
