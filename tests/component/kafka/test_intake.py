"""Intake on the real broker: its limits, its pauses, its defects, its life in the group."""

from __future__ import annotations

import asyncio
import time

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from tests.support.member import BOUND, Member
from tests.support.topics import CreateTopic, Fill
from worker.settings import KafkaSettings


async def test_a_partition_has_no_more_jobs_than_its_limit_and_loses_none(
    kafka: KafkaSettings, create_topic: CreateTopic, fill: Fill
) -> None:
    await create_topic(kafka.jobs_topic)
    await fill(kafka.jobs_topic, 10)
    async with Member(kafka, partition_max_jobs=3) as member:
        await member.reach((0, 0), (0, 1), (0, 2))
        await member.beats(2)
        assert member.value("classify_paused_partitions") == 1
        member.finish((0, 1))
        await member.reach((0, 0), (0, 2), (0, 3))
        member.finish((0, 0), (0, 2), (0, 3))
        await member.reach((0, 4), (0, 5), (0, 6))
        member.finish_all()
        await member.reach()
        await member.reach_committed(0, 10)
        assert member.started == [(0, offset) for offset in range(10)]
        assert member.most == {0: 3}
        assert member.value("classify_jobs_in_flight") == 0
        assert member.value("classify_buffered_bytes") == 0


async def test_all_partitions_share_the_count(
    kafka: KafkaSettings, create_topic: CreateTopic, fill: Fill
) -> None:
    await create_topic(kafka.jobs_topic, 2)
    await fill(kafka.jobs_topic, 5, 0)
    await fill(kafka.jobs_topic, 5, 1)
    async with Member(kafka, max_jobs=4) as member:
        await member.reach_count(4)
        await member.beats(2)
        assert len(member.running) == 4
        assert member.budget.jobs == 4
        assert member.value("classify_paused_partitions") == 2
        member.finish_all()
        await member.reach_committed(0, 5)
        await member.reach_committed(1, 5)
        assert sorted(member.started) == [(p, offset) for p in (0, 1) for offset in range(5)]
        for partition in (0, 1):
            taken = [offset for p, offset in member.started if p == partition]
            assert taken == sorted(taken)


async def test_no_job_is_taken_in_while_the_bytes_are_used_up(
    kafka: KafkaSettings, create_topic: CreateTopic, fill: Fill
) -> None:
    await create_topic(kafka.jobs_topic)
    async with Member(kafka, max_bytes=1) as member:
        await fill(kafka.jobs_topic, 1)
        await member.reach((0, 0))
        await fill(kafka.jobs_topic, 3)
        await member.beats(2)
        assert member.running == [(0, 0)]
        member.finish_all()
        await member.reach_committed(0, 4)


async def test_a_full_partition_goes_on_at_once_while_others_are_idle(
    kafka: KafkaSettings, create_topic: CreateTopic, fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing is due from the idle partition: its poll lasts for as long as a poll may.
    monkeypatch.setattr("worker.kafka.intake.POLL_SECONDS", 3600.0)
    await create_topic(kafka.jobs_topic, 2)
    await fill(kafka.jobs_topic, 3, 0)
    async with Member(kafka, partition_max_jobs=1) as member:
        for offset in range(3):
            await member.reach((0, offset))
            member.finish((0, offset))
        await member.reach()


async def test_a_full_worker_stays_in_its_group(
    kafka: KafkaSettings, create_topic: CreateTopic, fill: Fill
) -> None:
    await create_topic(kafka.jobs_topic)
    await fill(kafka.jobs_topic, 3)
    short = kafka.model_copy(update={"max_poll_interval": 3.0, "heartbeat_interval": 0.1})
    async with Member(short, max_jobs=1) as member:
        await member.reach((0, 0))
        generation = member.consumer._coordinator.generation
        began = time.monotonic()
        async with asyncio.timeout(BOUND):
            while time.monotonic() - began < 1.5 * short.max_poll_interval:
                await member.beats(1)
        assert member.consumer._coordinator.generation == generation
        assert member.value("classify_rebalances_total") == 1
        member.finish_all()
        await member.reach_committed(0, 3)


async def test_a_defect_is_reported_and_nothing_beyond_it_committed(
    kafka: KafkaSettings, create_topic: CreateTopic, fill: Fill
) -> None:
    await create_topic(kafka.jobs_topic)
    await fill(kafka.jobs_topic, 4)
    async with Member(kafka) as member:
        await member.reach(*((0, offset) for offset in range(4)))
        defect = RuntimeError("a defect")
        member.fail((0, 2), defect)
        member.finish((0, 0), (0, 1), (0, 3))
        await member.reach()
        await member.reach_committed(0, 2)
        assert member.defects == [defect]
        await member.committer.commit()
        assert await member.committed(0) == 2
        assert member.value("classify_jobs_in_flight") == 0


async def test_after_stop_nothing_is_taken_in_but_polls_go_on(
    kafka: KafkaSettings, create_topic: CreateTopic, fill: Fill
) -> None:
    await create_topic(kafka.jobs_topic)
    async with Member(kafka) as member:
        await fill(kafka.jobs_topic, 1)
        await member.reach((0, 0))
        member.intake.stop()
        await member.beats(2)
        await fill(kafka.jobs_topic, 3)
        await member.beats(3)
        assert member.running == [(0, 0)]
        member.finish_all()
        await member.reach_committed(0, 1)


async def test_records_of_a_transaction_that_was_aborted_leave_harmless_gaps(
    kafka: KafkaSettings, create_topic: CreateTopic, fill: Fill
) -> None:
    await create_topic(kafka.jobs_topic)
    await fill(kafka.jobs_topic, 2)
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka.bootstrap_servers, transactional_id=kafka.group_id
    )
    async with producer:
        await producer.begin_transaction()
        await producer.send_and_wait(kafka.jobs_topic, b"never was")
        await producer.abort_transaction()
    await fill(kafka.jobs_topic, 1)
    async with Member(kafka) as member:
        await member.reach_count(3)
        # The marker of the abortion may come before or after the last record.
        (_, last) = member.running[-1]
        assert member.running == [(0, 0), (0, 1), (0, last)]
        assert last in (3, 4)
        member.finish((0, last))
        member.finish((0, 0), (0, 1))
        await member.reach_committed(0, last + 1)


async def test_a_fetcher_that_died_is_not_taken_for_an_empty_topic(
    kafka: KafkaSettings, create_topic: CreateTopic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.kafka.intake.ERROR_BACKOFF", 0.0)
    await create_topic(kafka.jobs_topic)
    member = Member(kafka, error_patience=0.0)
    async with member:

        def fail(assignment: object) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(member.consumer._fetcher, "_get_actions_per_node", fail)
        intake_task, *_ = member.loops
        await asyncio.wait([intake_task], timeout=BOUND)
        assert isinstance(intake_task.exception(), KafkaError)
        member.loops.remove(intake_task)
    # Such a consumer does not close its connections by itself.
    await member.consumer._client.close()
