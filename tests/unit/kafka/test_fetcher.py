"""Fetches that no broker answers: when they are tried again, what is logged, and how they end.

And of those that are answered, whose turn is over.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.errors import KafkaConnectionError
from structlog.testing import capture_logs

from worker.clock import Clock
from worker.kafka.fetcher import FAILED_RETRY, BoundedFetcher

PARTITION = TopicPartition("jobs", 0)
NODE = 1
BOUND = 10.0


class Brokers:
    """One partition whose leader cannot be reached, and time that passes in pauses alone."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []
        self.stopped_at = 0.0
        self.begun = asyncio.Event()
        self.reached = asyncio.Event()
        subscriptions = SubscriptionState()
        subscriptions.assign_from_user([PARTITION])
        subscriptions.seek(PARTITION, 0)
        client = SimpleNamespace(
            _loop=asyncio.get_running_loop(),
            _metadata_max_age_ms=300_000,
            cluster=SimpleNamespace(leader_for_partition=lambda _: NODE),
            send=self._send,
        )
        made = Fetcher(cast("Any", client), subscriptions)
        clock = Clock(lambda: self.now, sleep=self._sleep)
        self.fetcher = BoundedFetcher(made, ahead_bytes=1000, batch_bytes=1000, clock=clock)

    async def pass_until(self, seconds: float) -> None:
        """Fail up to a time, at which a pause does not end."""
        self.stopped_at = seconds
        self.begun.set()
        async with asyncio.timeout(BOUND):
            await self.reached.wait()

    async def _send(self, *_: object) -> None:
        await self.begun.wait()
        raise KafkaConnectionError("nobody is there")

    async def _sleep(self, seconds: float) -> None:
        if self.now >= self.stopped_at:
            self.reached.set()
            await asyncio.Event().wait()
        self.pauses.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


@pytest.fixture
async def brokers() -> AsyncIterator[Brokers]:
    brokers = Brokers()
    yield brokers
    await brokers.fetcher.close()


async def test_fetches_that_fail_are_repeated_with_longer_pauses(brokers: Brokers) -> None:
    await brokers.pass_until(5.0)
    assert brokers.pauses[:5] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.0])
    assert max(brokers.pauses) == FAILED_RETRY.longest


async def test_fetches_that_fail_are_logged_once_in_a_while(brokers: Brokers) -> None:
    with capture_logs() as logged:
        await brokers.pass_until(11.5)
    told = [entry["left_out"] for entry in logged if entry["event"] == "fetch_failed"]
    assert told[0] == 0
    assert len(told) == 2
    assert told[1] >= 10


async def test_a_fetcher_closes_in_the_pause_after_a_failure(brokers: Brokers) -> None:
    await brokers.pass_until(0.0)
    async with asyncio.timeout(BOUND):
        await brokers.fetcher.close()
    assert not brokers.fetcher._pending_tasks


class Moved:
    """Two topics with a partition each, whose position is changed whenever its batches come."""

    def __init__(self, fetches: int) -> None:
        self.first: list[str] = []
        self.done = asyncio.Event()
        self._fetches = fetches
        self._subscriptions = SubscriptionState()
        partitions = [TopicPartition(topic, 0) for topic in ("jobs", "later")]
        self._subscriptions.assign_from_user(partitions)
        for partition in partitions:
            self._subscriptions.seek(partition, 0)
        client = SimpleNamespace(
            _loop=asyncio.get_running_loop(),
            _metadata_max_age_ms=300_000,
            cluster=SimpleNamespace(leader_for_partition=lambda _: NODE),
            send=self._send,
        )
        made = Fetcher(cast("Any", client), self._subscriptions)
        self.fetcher = BoundedFetcher(made, ahead_bytes=1000, batch_bytes=1000)

    async def _send(self, _: int, request: Any) -> SimpleNamespace:
        if len(self.first) == self._fetches:
            self.done.set()
            await asyncio.Event().wait()
        # There is room for the first batch alone.
        (topic, ((number, offset, _),)), (other, _) = request.topics
        self.first.append(topic)
        self._subscriptions.seek(TopicPartition(topic, number), offset + 1)
        topics = [(topic, [(number, 0, 99, b"a batch")]), (other, [(0, 0, 99, b"")])]
        return SimpleNamespace(topics=topics)


async def test_batches_that_are_not_kept_are_a_turn_too() -> None:
    """Such are those of retries that are not due yet, which are fetched again and again."""
    moved = Moved(fetches=6)
    async with asyncio.timeout(BOUND):
        await moved.done.wait()
    assert len(set(moved.first[:2])) == 2
    assert moved.first == 3 * moved.first[:2]
    await moved.fetcher.close()
