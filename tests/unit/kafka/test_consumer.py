"""What the consumer knows by itself, and what the coordinator says of its membership."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    KafkaConnectionError,
    KafkaError,
)
from aiokafka.protocol.group import JoinGroupRequest

from worker.kafka.client import make_consumer
from worker.kafka.consumer import Consumer
from worker.settings import KafkaSettings

OK, NOT_COORDINATOR, ILLEGAL_GENERATION, UNKNOWN_MEMBER, REBALANCING = 0, 16, 22, 25, 27
NOT_ALLOWED = 30


class Coordinator(GroupCoordinator):  # type: ignore[misc]  # aiokafka is untyped
    """aiokafka's, of which nothing but the answer to its heartbeat is made up."""

    group_id, generation, member_id = "group", 3, "member"
    coordinator_id: int | None = 1

    def __init__(self, answer: int | KafkaError) -> None:
        self.answer = answer
        self.joins_again = False

    async def _send_req(self, request: object) -> object:
        if isinstance(self.answer, KafkaError):
            raise self.answer
        return SimpleNamespace(error_code=self.answer)

    def request_rejoin(self) -> None:
        self.joins_again = True

    def coordinator_dead(self) -> None:
        """It is looked for again."""

    def __del__(self) -> None:
        """Nothing was started."""


def asked(coordinator: Coordinator) -> Consumer:
    consumer = Consumer.__new__(Consumer)
    consumer._own_coordinator = cast("Any", coordinator)
    consumer._closed = True
    return consumer


@pytest.mark.parametrize(
    ("answer", "member"),
    [
        (OK, True),
        # It is asked to join again, and owns what it has until it does.
        (REBALANCING, True),
        (UNKNOWN_MEMBER, False),
        (ILLEGAL_GENERATION, False),
        (NOT_COORDINATOR, None),
        (NOT_ALLOWED, None),
        (KafkaConnectionError(), None),
    ],
)
async def test_the_coordinator_says_whether_a_consumer_owns_its_partitions(
    answer: int | KafkaError, member: bool | None
) -> None:
    coordinator = Coordinator(answer)
    assert await asked(coordinator).is_member() is member
    if member is False:
        assert coordinator.joins_again
        assert coordinator.member_id == JoinGroupRequest.UNKNOWN_MEMBER_ID


@pytest.mark.parametrize(
    ("member_id", "member"), [("member", None), (JoinGroupRequest.UNKNOWN_MEMBER_ID, False)]
)
async def test_a_coordinator_that_is_looked_for_is_not_asked(
    member_id: str, member: bool | None, caplog: pytest.LogCaptureFixture
) -> None:
    coordinator = Coordinator(GroupCoordinatorNotAvailableError())
    coordinator.coordinator_id, coordinator.member_id = None, member_id
    assert await asked(coordinator).is_member() is member
    assert not caplog.records, "hundreds of partitions may ask, again and again"


async def test_a_position_is_told_once_it_is_known_of_what_is_assigned() -> None:
    consumer = make_consumer(KafkaSettings())
    mine, other = TopicPartition("jobs", 0), TopicPartition("jobs", 1)
    assert consumer.current_position(mine) is None, "nothing is subscribed"
    consumer.assign([mine])
    assert consumer.current_position(mine) is None, "it is not known yet"
    consumer._subscription.seek(mine, 0)
    assert consumer.current_position(mine) == 0
    assert consumer.current_position(other) is None, "it is not assigned"
    await consumer.stop()
