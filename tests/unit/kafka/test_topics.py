"""New topics are asked for until the brokers know them, for a bounded time."""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    NodeNotReadyError,
    TopicAuthorizationFailedError,
)

from worker.clock import Clock
from worker.kafka.topics import KNOWN_SOON, ask_until_reached, wait_until_known


class Brokers:
    """They know the topic `new` from the n-th question on; pauses are what passes the time."""

    def __init__(self, knowing_from: int) -> None:
        self.knowing_from = knowing_from
        self.asked = 0
        self.pauses: list[float] = []

    async def list_topics(self) -> list[str]:
        self.asked += 1
        return ["old", "new"] if self.asked >= self.knowing_from else ["old"]

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)

    async def wait(self, timeout: float) -> None:
        admin: Any = self
        clock = Clock(lambda: sum(self.pauses), sleep=self.sleep)
        await wait_until_known(admin, ["new"], timeout, clock)


async def test_topics_that_are_known_are_not_waited_for() -> None:
    brokers = Brokers(knowing_from=1)
    await brokers.wait(10.0)
    assert (brokers.asked, brokers.pauses) == (1, [])


async def test_brokers_are_asked_again_with_growing_pauses() -> None:
    brokers = Brokers(knowing_from=7)
    await brokers.wait(10.0)
    assert brokers.pauses == pytest.approx([0.05, 0.1, 0.2, 0.4, 0.5, 0.5])
    assert max(brokers.pauses) == KNOWN_SOON.longest


async def test_a_topic_that_stays_unknown_is_an_error_that_says_so() -> None:
    brokers = Brokers(knowing_from=1000)
    with pytest.raises(KafkaTimeoutError, match=r"still unknown after 10 s"):
        await brokers.wait(10.0)
    assert 10.0 < sum(brokers.pauses) <= 10.0 + KNOWN_SOON.longest


class Cluster:
    """Its admin client asks brokers in turn, of which the first `down` cannot be reached."""

    def __init__(self, down: int, error: type[KafkaError] = NodeNotReadyError) -> None:
        self.down = down
        self.error = error
        self.pauses: list[float] = []

    async def ask(self) -> str:
        self.down -= 1
        if self.down >= 0:
            raise self.error
        return "answer"

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)

    async def reach(self, timeout: float) -> str:
        clock = Clock(lambda: sum(self.pauses), sleep=self.sleep)
        return await ask_until_reached(self.ask, timeout, clock)


@pytest.mark.parametrize("error", [NodeNotReadyError, KafkaConnectionError])
async def test_a_broker_that_is_down_is_not_the_only_one_asked(error: type[KafkaError]) -> None:
    cluster = Cluster(down=3, error=error)
    assert await cluster.reach(10.0) == "answer"
    assert cluster.pauses == pytest.approx([0.05, 0.1, 0.2])


async def test_brokers_that_stay_down_are_given_up() -> None:
    cluster = Cluster(down=1000)
    with pytest.raises(NodeNotReadyError):
        await cluster.reach(10.0)
    assert 10.0 < sum(cluster.pauses) <= 10.0 + KNOWN_SOON.longest


async def test_an_error_that_a_broker_answers_is_not_asked_for_again() -> None:
    cluster = Cluster(down=1, error=TopicAuthorizationFailedError)
    with pytest.raises(TopicAuthorizationFailedError):
        await cluster.reach(10.0)
    assert cluster.pauses == []
