"""Polls that fail end intake when they fail for too long, and not before."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaError

from worker.budget import Budget, Reservation
from worker.clock import Clock
from worker.contract.records import Record
from worker.health import Heartbeat
from worker.kafka.assignment import Assignment, PartitionState
from worker.kafka.intake import Intake
from worker.kafka.retry_waits import RetryWaits
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


def intake(
    consumer: Consumer,
    patience: float,
    waits: RetryWaits | None = None,
    assigned: Sequence[TopicPartition] = (),
) -> tuple[Intake, Heartbeat]:
    assignment = Assignment()
    if assigned:
        assignment.assign(assigned)
    heartbeat = Heartbeat(1.0, clock=Clock(iter(range(100)).__next__))
    made = Intake(
        cast("Any", consumer),
        "jobs",
        assignment,
        Budget(1, 1),
        lambda state, record, held: asyncio.sleep(0),
        partition_max_jobs=1,
        offset_reset="earliest",
        error_patience=patience,
        heartbeat=heartbeat,
        metrics=Metrics(),
        on_defect=lambda error: None,
        waits=waits,
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


async def test_jobs_begin_between_the_polls_of_what_is_already_fetched() -> None:
    partition = TopicPartition("jobs", 0)
    begun: list[int] = []
    polled: list[int] = []

    class Fetched(Consumer):
        """One that has a thousand records at hand, and never waits."""

        def assignment(self) -> set[TopicPartition]:
            return {partition}

        def paused(self) -> set[TopicPartition]:
            return set()

        def highwater(self, _: TopicPartition) -> None:
            return None

        async def getmany(self, *partitions: TopicPartition, **options: Any) -> dict[Any, Any]:
            assert len(begun) == len(polled)
            first, count = len(polled), min(options["max_records"], 1000 - len(polled))
            if count == 0:
                raise asyncio.CancelledError
            assert count <= 100
            offsets = range(first, first + count)
            polled.extend(offsets)
            return {partition: [Record("jobs", 0, at, 0, None, b"", ()) for at in offsets]}

    async def handle(state: PartitionState, record: Record, held: Reservation) -> None:
        begun.append(record.offset)

    assignment = Assignment()
    assignment.assign([partition])
    polling = Intake(
        cast("Any", Fetched()),
        "jobs",
        assignment,
        Budget(2000, 2000),
        handle,
        partition_max_jobs=2000,
        offset_reset="earliest",
        error_patience=1.0,
        heartbeat=Heartbeat(1.0),
        metrics=Metrics(),
        on_defect=lambda error: None,
    )
    with pytest.raises(asyncio.CancelledError):
        await polling.run()
    assert begun == list(range(1000))


@pytest.mark.usefixtures("no_waiting")
async def test_a_job_that_comes_while_the_worker_stops_is_left_to_the_next_owner() -> None:
    partition = TopicPartition("jobs", 0)

    class Late(Consumer):
        """One whose poll is under way when the partitions are released, and finds a job."""

        def assignment(self) -> set[TopicPartition]:
            return {partition}

        def paused(self) -> set[TopicPartition]:
            return {partition}

        def pause(self, *_: TopicPartition) -> None:
            pass

        resume = pause

        def highwater(self, _: TopicPartition) -> int:
            return 8

        def current_position(self, _: TopicPartition) -> int:
            return 8 if late.released else 7

        released = False

        async def getmany(self, *partitions: TopicPartition, **options: Any) -> dict[Any, Any]:
            await asyncio.sleep(0)
            if not self.polls:
                raise asyncio.CancelledError
            self.polls.pop()
            if partitions[0] != partition:
                return {}
            self.released = True
            polling.stop()
            polling._assignment.accepting = False
            return {partition: [Record("jobs", 0, 7, 0, None, b"", ())]}

    late = Late(None, None)
    polling, _ = intake(late, 1.0, assigned=[partition])
    (state,) = polling._assignment
    state.ledger.advance_to(7)
    with pytest.raises(asyncio.CancelledError):
        await polling.run()
    assert late.released
    assert state.ledger.position == 7, "the job would be committed, and nobody would do it"


@pytest.mark.parametrize("left", [0.0001, 0.0, 0.3])
async def test_a_poll_until_a_retry_is_due_lets_other_tasks_run(left: float) -> None:
    """aiokafka returns from a poll of 0 ms without a pause."""
    partitions = [TopicPartition("jobs", 0), TopicPartition("later-100s", 0)]

    class Assigned(Consumer):
        def assignment(self) -> set[TopicPartition]:
            return set(partitions)

        def paused(self) -> set[TopicPartition]:
            return set()

        def pause(self, *_: TopicPartition) -> None:
            pass

        resume = pause

    now = 0.0
    waits = RetryWaits({"later-100s": 100.0}, Clock(lambda: now, lambda: now))
    polling, _ = intake(Assigned(), 1.0, waits, partitions)
    due = Record("later-100s", 0, 3, 0, None, b"", (("job-retry-not-before-ms", b"50000"),))
    (retries,) = (s for s in polling._assignment if s.partition == partitions[1])
    assert list(waits.take_due(retries, [due])) == []
    now = 50.0 - left
    opened, _, wait = polling._open_partitions()
    assert opened == (partitions[:1] if left else partitions)
    assert wait >= 0.02
    assert wait == pytest.approx({0.0001: 0.02, 0.0: 0.5, 0.3: 0.3}[left])
