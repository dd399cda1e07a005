"""The topics of a run, as an operator sees and changes them: always at the INTERNAL listeners."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.errors import CoordinatorNotAvailableError, KafkaError, OffsetOutOfRangeError

from chaos.history import Removal
from demo.errors import DemoError

__all__ = [
    "DEAD_LETTERS",
    "GROUP",
    "JOBS",
    "MAX_TAKEN_IN",
    "OUTPUT_PARTITIONS",
    "RESULTS",
    "Topics",
    "now_ms",
]

JOBS, RESULTS, DEAD_LETTERS, GROUP = "jobs", "results", "dead-letters", "workers"
OUTPUT_PARTITIONS = 4
"""Of the results and of the dead letters."""

MAX_TAKEN_IN = 64
"""Jobs that a worker takes in at most, of all its partitions."""

PATIENCE = 90.0
"""Seconds for which a request is made again while brokers are down."""

PAUSE = 0.2

_FOREVER = {"retention.ms": "-1"}
_LEADERS_CLOCK = {"message.timestamp.type": "LogAppendTime"}
"""Each outcome says when it was there, by the clock that commits have too."""

T = TypeVar("T")


def now_ms() -> int:
    """Read the clock that brokers append by.

    Returns:
        Epoch milliseconds.
    """
    return time.time_ns() // 1_000_000


class Topics:
    """Makes, changes and reads the topics.

    Every request waits for brokers that are down, and what it is to bring about is looked at
    afterwards: an answer may be lost.

    Args:
        servers: bootstrap servers.
        replication: replicas of each topic.

    Attributes:
        partitions: how many the jobs topic has.
        births_ms: when each topic that was called `JOBS` was made; 0 for the first.
        removals: what faults took out of it.
    """

    def __init__(self, servers: str, replication: int, partitions: int) -> None:
        self._servers = servers
        self._replication = replication
        self.partitions = partitions
        self.births_ms = [0]
        self.removals: list[Removal] = []

    async def create(self) -> None:
        """Make all topics."""
        # Jobs keep their producer's timestamps, which may be skewed.
        await self._create(JOBS, self.partitions, _FOREVER)
        for topic in (RESULTS, DEAD_LETTERS):
            await self._create(topic, OUTPUT_PARTITIONS, _FOREVER | _LEADERS_CLOCK)

    @property
    def birth(self) -> int:
        """Which topic of the name `JOBS` it is now, from 0."""
        return len(self.births_ms) - 1

    async def grow(self) -> None:
        """Give the jobs topic another partition."""
        more = self.partitions + 1
        await self._bring_about(
            lambda admin: admin.create_partitions({JOBS: NewPartitions(more)}),
            lambda: self._has_leaders(JOBS, more),
        )
        self.partitions = more

    async def delete_unread(self, target: int, jobs: int) -> Removal | None:
        """Delete the oldest records of a partition that the group has not committed.

        Args:
            target: chooses among the partitions that have any.
            jobs: most to delete beyond what a worker takes in.

        Returns:
            What was deleted; None if there is no such partition.
        """
        at_ms = now_ms()
        committed, ends = await self.committed(), await self.ends()
        unread = [n for n, end in ends.items() if end > committed.get(n, 0)]
        if not unread:
            return None
        number = unread[target % len(unread)]
        first = committed.get(number, 0)
        end = min(ends[number], first + MAX_TAKEN_IN + jobs)
        deletion = {TopicPartition(JOBS, number): RecordsToDelete(before_offset=end)}
        # Out of range: an earlier try was executed, and its answer was lost.
        with contextlib.suppress(OffsetOutOfRangeError):
            await self._ask(lambda admin: admin.delete_records(deletion))
        removal = Removal(self.birth, number, first, end, at_ms)
        self.removals.append(removal)
        return removal

    async def recreate(self) -> list[Removal]:
        """Delete the jobs topic and make it again. Nothing may be sent to it meanwhile.

        Returns:
            What the group had not committed.
        """
        at_ms = now_ms()
        committed, ends = await self.committed(), await self.ends()
        removals = [
            Removal(self.birth, number, committed.get(number, 0), end, at_ms)
            for number, end in ends.items()
        ]
        await self._bring_about(lambda admin: admin.delete_topics([JOBS]), self._is_gone)
        self.removals += removals
        self.births_ms.append(now_ms())
        await self._create(JOBS, self.partitions, _FOREVER)
        return removals

    async def begun_anew(self) -> bool:
        """Ask whether the group is at the beginning of every partition of a new jobs topic.

        Returns:
            Whether all offsets are committed there, and are 0.
        """
        committed = await self.committed()
        return all(committed.get(number) == 0 for number in range(self.partitions))

    async def committed(self) -> dict[int, int]:
        """Ask for the group's committed offsets.

        Returns:
            Offsets by partition of the jobs topic, for those that have one.
        """
        places = [TopicPartition(JOBS, number) for number in range(self.partitions)]

        async def ask(admin: AIOKafkaAdminClient) -> dict[int, int]:
            found = await admin.list_consumer_group_offsets(GROUP, partitions=places)
            if not found:
                # The group is loading, or has moved; aiokafka does not look at that error.
                raise CoordinatorNotAvailableError
            return {place.partition: stored.offset for place, stored in found.items()}

        committed = await self._ask(ask)
        return {number: offset for number, offset in committed.items() if offset >= 0}

    async def ends(self) -> dict[int, int]:
        """Ask where the partitions of the jobs topic end.

        Returns:
            One past the last offset, by partition.
        """
        places = [TopicPartition(JOBS, number) for number in range(self.partitions)]

        async def ask() -> dict[int, int]:
            async with AIOKafkaConsumer(bootstrap_servers=self._servers) as consumer:
                found = await consumer.end_offsets(places)
                return {place.partition: offset for place, offset in found.items()}

        return await _patiently(ask)

    async def read(self, topic: str, partitions: int) -> list[ConsumerRecord[bytes, bytes]]:
        """Read all of a topic that is committed, to its present end.

        Returns:
            The records, in the order of each partition.

        Raises:
            DemoError: it could not be read to its end.
        """
        every: list[ConsumerRecord[bytes, bytes]] = []
        async with AIOKafkaConsumer(
            bootstrap_servers=self._servers,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=8 << 20,
        ) as consumer:
            places = [TopicPartition(topic, number) for number in range(partitions)]
            consumer.assign(places)
            await consumer.seek_to_beginning(*places)
            ends = await consumer.end_offsets(places)
            deadline = time.monotonic() + PATIENCE
            while not await _all_read(consumer, ends):
                if time.monotonic() > deadline:
                    raise DemoError(f"topic {topic} could not be read to its end")
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    every += records
        return every

    async def _create(self, topic: str, partitions: int, config: dict[str, str]) -> None:
        new = NewTopic(topic, partitions, self._replication, topic_configs=config)
        await self._bring_about(
            lambda admin: admin.create_topics([new]), lambda: self._has_leaders(topic, partitions)
        )

    async def _has_leaders(self, topic: str, partitions: int) -> bool:
        (found,) = await self._ask(lambda admin: admin.describe_topics([topic]))
        leaders = [each["leader"] for each in found["partitions"]]
        return len(leaders) == partitions and min(leaders) >= 0

    async def _is_gone(self) -> bool:
        return JOBS not in await self._ask(lambda admin: admin.list_topics())

    async def _bring_about(
        self,
        change: Callable[[AIOKafkaAdminClient], Awaitable[object]],
        is_so: Callable[[], Awaitable[bool]],
    ) -> None:
        deadline = time.monotonic() + PATIENCE
        while not await is_so():
            if time.monotonic() > deadline:
                raise DemoError("the brokers did not change a topic")
            # Done before, in part or whole: the look at the state decides.
            with contextlib.suppress(DemoError):
                await self._ask(change, patience=0.0)
            await asyncio.sleep(PAUSE)

    async def _ask(
        self, request: Callable[[AIOKafkaAdminClient], Awaitable[T]], patience: float = PATIENCE
    ) -> T:
        async def ask() -> T:
            # A new client each time: it finds the brokers that are up.
            admin = AIOKafkaAdminClient(bootstrap_servers=self._servers, request_timeout_ms=10_000)
            await admin.start()
            try:
                return await request(admin)
            finally:
                await admin.close()

        return await _patiently(ask, patience)


async def _all_read(
    consumer: AIOKafkaConsumer[bytes, bytes], ends: dict[TopicPartition, int]
) -> bool:
    return all([await consumer.position(place) >= end for place, end in ends.items()])


async def _patiently(request: Callable[[], Awaitable[T]], patience: float = PATIENCE) -> T:
    """Make a request until brokers that come back answer it.

    Raises:
        DemoError: they did not within `patience` seconds.
        OffsetOutOfRangeError: there is nothing at such an offset.
    """
    deadline = time.monotonic() + patience
    while True:
        try:
            async with asyncio.timeout(PATIENCE / 3):
                return await request()
        except OffsetOutOfRangeError:
            raise
        except (KafkaError, TimeoutError, OSError) as error:
            if time.monotonic() >= deadline:
                raise DemoError(f"brokers do not answer: {error!r}") from error
            await asyncio.sleep(PAUSE)
