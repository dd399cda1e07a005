"""A coordinator that cannot say what is committed is asked again: that is not "nothing"."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import GroupAuthorizationFailedError
from aiokafka.protocol.commit import OffsetFetchResponse_v1, OffsetFetchResponse_v3
from aiokafka.structs import OffsetAndMetadata

from worker.kafka.client import make_consumer
from worker.kafka.consumer import Consumer
from worker.settings import KafkaSettings

BOUND = 10.0
PARTITION = TopicPartition("jobs", 0)
ANSWER = OffsetFetchResponse_v3(0, [("jobs", [(0, 7, "", 0)])], 0)


class Brokers:
    """Answer what a test says; the coordinator is always found."""

    def __init__(self) -> None:
        self.answers: list[object] = []
        self.lookups = 0

    async def send(self, node: int, request: object, group: object) -> object:
        return self.answers.pop(0)

    async def lookup(self, kind: object, key: str) -> int:
        self.lookups += 1
        return 0

    async def ready(self, node: int, group: object) -> bool:
        return True


@pytest.fixture
def brokers() -> Brokers:
    return Brokers()


@pytest.fixture
async def consumer(brokers: Brokers, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Consumer]:
    made = make_consumer(KafkaSettings())
    monkeypatch.setattr(made._client, "send", brokers.send)
    monkeypatch.setattr(made._client, "coordinator_lookup", brokers.lookup)
    monkeypatch.setattr(made._client, "ready", brokers.ready)
    # As its `start` does.
    made._coordinator = GroupCoordinator(
        made._client, made._subscription, group_id="group", retry_backoff_ms=1
    )
    async with asyncio.timeout(BOUND):
        yield made
    brokers.answers = []
    made._coordinator.coordinator_id = None
    await made.stop()


@pytest.mark.parametrize(
    ("code", "lookups"), [(14, 1), (15, 2), (16, 2)], ids=["loading", "none", "moved"]
)
async def test_a_coordinator_that_cannot_tell_now_is_asked_again(
    consumer: Consumer, brokers: Brokers, code: int, lookups: int
) -> None:
    brokers.answers = [OffsetFetchResponse_v3(0, [], code), ANSWER]
    assert await consumer.committed(PARTITION) == 7
    assert brokers.lookups == lookups


async def test_a_group_that_may_not_be_read_is_an_error(
    consumer: Consumer, brokers: Brokers
) -> None:
    brokers.answers = [OffsetFetchResponse_v3(0, [], 30)]
    with pytest.raises(GroupAuthorizationFailedError, match="group"):
        await consumer.committed(PARTITION)


async def test_a_partition_without_an_offset_has_none(consumer: Consumer, brokers: Brokers) -> None:
    brokers.answers = [OffsetFetchResponse_v3(0, [("jobs", [(0, -1, "", 0)])], 0)]
    assert await consumer.committed(PARTITION) is None
    brokers.answers = [OffsetFetchResponse_v1([("jobs", [(0, -1, "", 0)])])]
    assert await consumer.committed(PARTITION) is None


async def test_reading_does_not_begin_where_a_loading_coordinator_says_nothing(
    consumer: Consumer, brokers: Brokers
) -> None:
    consumer.subscribe(["jobs"])
    consumer._subscription.assign_from_subscribed([PARTITION])
    assignment = consumer._subscription.subscription.assignment
    asked = assignment.state_value(PARTITION).fetch_committed()
    brokers.answers = [OffsetFetchResponse_v3(0, [], 14), ANSWER]
    await consumer._coordinator.ensure_coordinator_known()
    assert not await consumer._coordinator._maybe_refresh_commit_offsets(assignment)
    assert not asked.done()
    assert await consumer._coordinator._maybe_refresh_commit_offsets(assignment)
    assert await asked == OffsetAndMetadata(7, "")
