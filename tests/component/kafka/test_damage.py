"""Damage in the broker's own files holds up its partition and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete
from structlog.testing import capture_logs

from demo.broker import KafkaBroker
from tests.support.member import BOUND, Member
from tests.support.segments import Segment
from tests.support.topics import CreateTopic, Fill
from worker.errors import KafkaSetupError
from worker.kafka.job_client import JobClient
from worker.settings import KafkaSettings, PublishSettings


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.kafka.fetch_buffer.RETRY", 0.05)


def flip(data: bytearray) -> None:
    data[-1] ^= 1


def nonsense(data: bytearray) -> None:
    data[16] = 77  # the format's version


def length(data: bytearray) -> None:
    data[8] = 0x40


def offset(data: bytearray) -> None:
    data[0] = 0x40


async def until_damaged(member: Member, partition: int) -> None:
    async with asyncio.timeout(BOUND):
        while TopicPartition(member.kafka.jobs_topic, partition) not in member.consumer.damaged:
            await member.beats(1)


@pytest.mark.parametrize("damaging", [flip, nonsense, length, offset])
async def test_others_go_on_and_so_does_the_partition_once_it_is_mended(
    kafka: KafkaSettings,
    create_topic: CreateTopic,
    fill: Fill,
    broker: KafkaBroker,
    damaging: Callable[[bytearray], None],
) -> None:
    await create_topic(kafka.jobs_topic, 2)
    for _ in range(3):
        await fill(kafka.jobs_topic, 2, 0)  # three batches
    await fill(kafka.jobs_topic, 12, 1)
    segment = Segment(broker, kafka.jobs_topic, 0)
    whole = segment.read()
    segment.damage_batch(1, damaging)
    async with Member(kafka, error_patience=0.0) as member:
        with capture_logs() as logs:
            await member.reach((0, 0), (0, 1), *((1, offset) for offset in range(12)))
            await until_damaged(member, 0)
            member.finish_all()
            await member.reach_committed(1, 12)
            await member.reach_committed(0, 2)
            # It is tried again, and named but once.
            await member.beats(5)
            await fill(kafka.jobs_topic, 1, 1)
            await member.reach_committed(1, 13)
        (named,) = [entry for entry in logs if entry["event"] == "partition_unreadable"]
        assert (named["topic"], named["partition"]) == (kafka.jobs_topic, 0)
        assert (named["offset"], named["log_level"]) == (2, "error")
        assert "kafka-delete-records.sh" in named["remedy"]
        assert member.consumer.unreadable_batches == {"content": 0, "damage": 1}
        progress = member.assignment.progress(member.consumer.damaged)
        assert {each.partition: each.unreadable for each in progress} == {0: True, 1: False}
        segment.restore(whole)
        await member.reach_committed(0, 6)
        assert member.consumer.damaged == {}
        assert sorted(member.started) == [(0, n) for n in range(6)] + [(1, n) for n in range(13)]
        assert member.defects == []


async def test_records_that_an_operator_deletes_are_stepped_over_by_the_running_worker(
    kafka: KafkaSettings,
    create_topic: CreateTopic,
    fill: Fill,
    broker: KafkaBroker,
    admin: AIOKafkaAdminClient,
) -> None:
    await create_topic(kafka.jobs_topic, 2)
    for _ in range(3):
        await fill(kafka.jobs_topic, 2, 0)
    Segment(broker, kafka.jobs_topic, 0).damage_batch(1, flip)
    partition = TopicPartition(kafka.jobs_topic, 0)
    async with Member(kafka) as member:
        await member.reach((0, 0), (0, 1))
        member.finish_all()
        await until_damaged(member, 0)
        damage = member.consumer.damaged[partition]
        assert damage.follows == 4
        await admin.delete_records({partition: RecordsToDelete(before_offset=4)})
        await member.reach_committed(0, 6)
        assert member.consumer.damaged == {}
        assert member.started == [(0, 0), (0, 1), (0, 4), (0, 5)]


async def test_intake_ends_when_nothing_else_is_left(
    kafka: KafkaSettings, create_topic: CreateTopic, fill: Fill, broker: KafkaBroker
) -> None:
    await create_topic(kafka.jobs_topic, 2)
    for partition in (0, 1):
        await fill(kafka.jobs_topic, 1, partition)
        await fill(kafka.jobs_topic, 1, partition)
        Segment(broker, kafka.jobs_topic, partition).damage_batch(1, flip)
    member = Member(kafka, error_patience=0.0)
    async with member:
        await member.reach((0, 0), (1, 0))
        for partition in (0, 1):
            await until_damaged(member, partition)
        intake, *_ = member.loops
        await member.beats(3)
        assert not intake.done(), "jobs are still in flight"
        member.finish_all()
        await asyncio.wait([intake], timeout=BOUND)
        error = intake.exception()
        assert isinstance(error, KafkaSetupError)
        for partition in (0, 1):
            assert (
                f"partition {partition} of topic {kafka.jobs_topic} cannot be read at offset 1: "
                "its checksum is wrong. Remedy: restore"
            ) in str(error)
        member.loops.remove(intake)
        await member.reach_committed(0, 1)


async def test_a_spare_replica_stays_and_the_other_finds_the_damage_again(
    kafka: KafkaSettings, create_topic: CreateTopic, fill: Fill, broker: KafkaBroker
) -> None:
    await create_topic(kafka.jobs_topic, 1)
    await fill(kafka.jobs_topic, 1, 0)
    await fill(kafka.jobs_topic, 1, 0)
    Segment(broker, kafka.jobs_topic, 0).damage_batch(1, flip)
    # Partitions are dealt out in the order of the members' names.
    one, two = (kafka.model_copy(update={"client_id": name}) for name in ("a", "b"))
    async with Member(one) as holder:
        await holder.reach((0, 0))
        holder.finish_all()
        await until_damaged(holder, 0)
        async with Member(two, error_patience=0.0) as spare:
            async with asyncio.timeout(BOUND):
                while holder.value("classify_rebalances_total") < 2:
                    await holder.beats(1)
            assert (len(holder.assignment), len(spare.assignment)) == (1, 0)
            await until_damaged(holder, 0)
            await spare.beats(5)
            assert spare.consumer.damaged == {}


async def test_results_before_the_damage_are_read_before_it_is_reported(
    kafka: KafkaSettings, create_topic: CreateTopic, fill: Fill, broker: KafkaBroker
) -> None:
    for topic in (kafka.jobs_topic, kafka.results_topic):
        await create_topic(topic)
    for _ in range(2):
        await fill(kafka.results_topic, 1)
    Segment(broker, kafka.results_topic, 0).damage_batch(1, flip)
    async with JobClient(kafka, PublishSettings()) as client:
        assert client._consumer is not None
        client._consumer.seek(TopicPartition(kafka.results_topic, 0), 0)
        (record,) = await client.poll(BOUND)
        assert record.offset == 0
        with pytest.raises(KafkaSetupError, match="at offset 1: its checksum is wrong"):
            await client.poll(0.0)
