"""Where reading begins and goes on, on the real broker: new groups, lost records, topics anew."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, RecordsToDelete

from tests.support.member import Member
from tests.support.topics import CreateTopic, Fill
from worker.settings import KafkaSettings

LOST = "classify_lost_records_total"

Age = Callable[[str, int], Awaitable[None]]

Commit = Callable[[int], Awaitable[None]]


@pytest.fixture
def latest(kafka: KafkaSettings) -> KafkaSettings:
    return kafka.model_copy(update={"auto_offset_reset": "latest"})


@pytest.fixture
def age(admin: AIOKafkaAdminClient) -> Age:
    """Removes all records of partition 0 before an offset, as retention does."""

    async def remove(topic: str, before: int) -> None:
        await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(before)})

    return remove


@pytest.fixture
def commit(kafka: KafkaSettings) -> Commit:
    """Commits an offset of partition 0 in the name of the group, as an earlier worker did."""

    async def write(offset: int) -> None:
        partition = TopicPartition(kafka.jobs_topic, 0)
        async with AIOKafkaConsumer(
            bootstrap_servers=kafka.bootstrap_servers,
            group_id=kafka.group_id,
            enable_auto_commit=False,
        ) as consumer:
            consumer.assign([partition])
            await consumer.commit({partition: offset})

    return write


async def test_a_new_group_begins_where_the_settings_say_and_commits_that(
    kafka: KafkaSettings, latest: KafkaSettings, create_topic: CreateTopic, fill: Fill
) -> None:
    await create_topic(kafka.jobs_topic)
    await fill(kafka.jobs_topic, 3)
    async with Member(latest) as member:
        await member.reach_committed(0, 3)
        await fill(kafka.jobs_topic, 1)
        await member.reach((0, 3))
    # What comes while no worker runs is not skipped by the next one.
    await fill(kafka.jobs_topic, 1)
    async with Member(latest) as member:
        await member.reach((0, 3), (0, 4))
        assert member.value(LOST) == 0
    other = kafka.model_copy(update={"group_id": f"{kafka.group_id}-2"})
    async with Member(other) as member:
        await member.reach(*((0, offset) for offset in range(5)))
        await member.reach_committed(0, 0)


async def test_a_partition_whose_records_all_aged_out_has_its_start_committed(
    kafka: KafkaSettings, create_topic: CreateTopic, fill: Fill, age: Age
) -> None:
    await create_topic(kafka.jobs_topic, 2)
    await fill(kafka.jobs_topic, 7)
    await age(kafka.jobs_topic, 7)
    async with Member(kafka) as member:
        await member.reach_committed(0, 7)
        await member.reach_committed(1, 0)
        await member.reach_lag(0, 0)
        assert member.value(LOST) == 0, "a new group has lost nothing"
        commits = member.value("classify_commits_total", outcome="success")
        await member.beats(3)
        assert member.value("classify_commits_total", outcome="success") == commits


@pytest.mark.parametrize("reset", ["earliest", "latest"])
async def test_a_group_whose_offset_aged_out_goes_on_at_the_earliest_record(
    kafka: KafkaSettings,
    create_topic: CreateTopic,
    fill: Fill,
    age: Age,
    commit: Commit,
    reset: str,
) -> None:
    await create_topic(kafka.jobs_topic)
    await fill(kafka.jobs_topic, 9)
    await commit(2)
    await age(kafka.jobs_topic, 6)
    async with Member(kafka.model_copy(update={"auto_offset_reset": reset})) as member:
        await member.reach((0, 6), (0, 7), (0, 8))
        assert member.value(LOST) == 4
        member.finish_all()
        await member.reach_committed(0, 9)


async def test_a_group_that_lost_all_records_says_so_once(
    kafka: KafkaSettings, create_topic: CreateTopic, fill: Fill, age: Age, commit: Commit
) -> None:
    await create_topic(kafka.jobs_topic)
    await fill(kafka.jobs_topic, 9)
    await commit(2)
    await age(kafka.jobs_topic, 9)
    async with Member(kafka) as member:
        await member.reach_committed(0, 9)
        await member.beats(2)
        assert member.value(LOST) == 7
        # Read again from where nothing is left.
        member.consumer.seek(TopicPartition(kafka.jobs_topic, 0), 2)
        await fill(kafka.jobs_topic, 1)
        await member.reach((0, 9))
        assert member.value(LOST) == 7
    async with Member(kafka) as member:
        await member.reach((0, 9))
        assert member.value(LOST) == 0


@pytest.mark.parametrize("reset", ["earliest", "latest"])
async def test_retention_that_overtakes_a_running_worker_is_counted(
    kafka: KafkaSettings, create_topic: CreateTopic, fill: Fill, age: Age, reset: str
) -> None:
    await create_topic(kafka.jobs_topic)
    settings = kafka.model_copy(update={"auto_offset_reset": reset})
    async with Member(settings, partition_max_jobs=2) as member:
        await member.reach_committed(0, 0)
        await fill(kafka.jobs_topic, 2)
        await member.reach((0, 0), (0, 1))
        # The partition is full and nothing of it is fetched meanwhile.
        await fill(kafka.jobs_topic, 8)
        await age(kafka.jobs_topic, 7)
        member.finish((0, 1))
        await member.reach((0, 0), (0, 7))
        assert member.value(LOST) == 5
        assert await member.committed(0) == 0, "the first job is still under way"
        member.finish_all()
        await member.reach_committed(0, 10)
        assert member.started == [(0, 0), (0, 1), (0, 7), (0, 8), (0, 9)]


async def test_a_topic_that_ends_before_the_committed_offset_begins_anew(
    latest: KafkaSettings, create_topic: CreateTopic, fill: Fill, commit: Commit
) -> None:
    await create_topic(latest.jobs_topic)
    await fill(latest.jobs_topic, 3)
    await commit(100)
    async with Member(latest) as member:
        await member.reach((0, 0), (0, 1), (0, 2))
        assert member.value(LOST) == 0
        member.finish_all()
        await member.reach_committed(0, 3)


async def test_jobs_under_way_end_quietly_when_their_topic_begins_anew(
    kafka: KafkaSettings, create_topic: CreateTopic, fill: Fill
) -> None:
    await create_topic(kafka.jobs_topic)
    await fill(kafka.jobs_topic, 4)
    partition = TopicPartition(kafka.jobs_topic, 0)
    async with Member(kafka) as member:
        await member.reach(*((0, offset) for offset in range(4)))
        member.finish((0, 0), (0, 1))
        await member.reach_committed(0, 2)
        old = [member._held[0, offset] for offset in (2, 3)]
        # Where it stands when a shorter topic has taken the place of its own.
        member.consumer.seek(partition, 100)
        await member.reach_committed(0, 0)
        await member.beats(2)
        for future in old:
            future.set_result(None)
        await member.reach(*((0, offset) for offset in range(4)))
        assert await member.committed(0) == 0, "they were other jobs"
        member.finish_all()
        await member.reach_committed(0, 4)
        assert member.defects == []
        assert member.started[4:] == [(0, offset) for offset in range(4)]


async def test_a_partition_added_to_a_running_group_is_read_from_its_beginning(
    latest: KafkaSettings, create_topic: CreateTopic, fill: Fill, admin: AIOKafkaAdminClient
) -> None:
    await create_topic(latest.jobs_topic)
    settings = latest.model_copy(update={"metadata_max_age": 5.0})
    async with Member(settings) as member:
        await member.reach_committed(0, 0)
        await admin.create_partitions({latest.jobs_topic: NewPartitions(2)})
        # Before the worker has seen the new partition.
        await fill(latest.jobs_topic, 2, 1)
        await member.reach((1, 0), (1, 1))
