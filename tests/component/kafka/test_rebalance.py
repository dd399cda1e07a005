"""A rebalance between two real members while jobs run: nothing is lost, nothing skipped."""

from __future__ import annotations

import asyncio

from tests.support.member import BOUND, Member
from tests.support.topics import CreateTopic, Fill
from worker.kafka.rebalance import release_partitions
from worker.settings import KafkaSettings

JOBS = 6


async def joined(member: Member) -> None:
    """Wait until a member has joined its group's second generation."""
    async with asyncio.timeout(BOUND):
        while member.value("classify_rebalances_total") < 2:  # noqa: ASYNC110 - the group decides
            await asyncio.sleep(0.02)


async def test_jobs_that_end_while_a_partition_is_given_up_are_committed(
    kafka: KafkaSettings, create_topic: CreateTopic, fill: Fill
) -> None:
    await create_topic(kafka.jobs_topic, 2)
    for partition in (0, 1):
        await fill(kafka.jobs_topic, JOBS, partition)
    quick = kafka.model_copy(update={"heartbeat_interval": 0.1})
    async with Member(quick) as first:
        await first.reach_count(2 * JOBS)
        second = Member(quick)
        joining = asyncio.create_task(second.__aenter__())
        # The second can only join once the first has drained.
        async with asyncio.timeout(BOUND):
            while first.assignment.accepting:  # noqa: ASYNC110 - aiokafka decides
                await asyncio.sleep(0.01)
        assert not joining.done()
        first.finish(*first.running)
        await joining
        await joined(first)
        assert second.started == [], "all was committed before it was given up"
        assert {await first.committed(0), await second.committed(1)} == {JOBS}
        assert first.value("classify_abandoned_jobs_total") == 0
        await second.__aexit__()


async def test_jobs_that_do_not_end_in_time_are_done_by_the_next_owner(
    kafka: KafkaSettings, create_topic: CreateTopic, fill: Fill
) -> None:
    await create_topic(kafka.jobs_topic, 2)
    for partition in (0, 1):
        await fill(kafka.jobs_topic, JOBS, partition)
    quick = kafka.model_copy(update={"heartbeat_interval": 0.1})
    async with Member(quick, drain_timeout=0.3) as first:
        await first.reach_count(2 * JOBS)
        # Out of order: the prefixes end at 2 and 0.
        first.finish((0, 0), (0, 1), (0, 4), (1, 3), (1, 5))
        async with Member(quick, drain_timeout=0.3) as second:
            await joined(first)
            assert first.value("classify_abandoned_jobs_total") == 2 * JOBS - 5
            for member in (first, second):
                member.finish_all()
            await first.reach_committed(0, JOBS)
            await first.reach_committed(1, JOBS)
            (mine,) = (state.partition.partition for state in first.assignment)
            again = {0: range(2, JOBS), 1: range(JOBS)}
            assert first.started[2 * JOBS :] == [(mine, offset) for offset in again[mine]]
            other = 1 - mine
            assert second.started == [(other, offset) for offset in again[other]]


async def test_a_worker_that_stops_gives_up_as_in_a_rebalance(
    kafka: KafkaSettings, create_topic: CreateTopic, fill: Fill
) -> None:
    await create_topic(kafka.jobs_topic)
    await fill(kafka.jobs_topic, 4)
    async with Member(kafka) as member:
        await member.reach_count(4)
        member.intake.stop()
        member.finish((0, 0), (0, 2))
        abandoned = await release_partitions(
            member.assignment, member.committer, 0.1, member.metrics, "shutdown", 5.0
        )
        assert abandoned == 2
        assert await member.committed(0) == 1
    async with Member(kafka) as later:
        await later.reach((0, 1), (0, 2), (0, 3))
