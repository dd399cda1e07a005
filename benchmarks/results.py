"""Results counted in their topic, in the same way whatever program writes them."""

from __future__ import annotations

import asyncio
import time
from types import TracebackType
from typing import Self

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from benchmarks.topics import Topics

__all__ = ["ResultCounter"]

POLL = 0.05
"""Seconds between two looks."""

READING = 60.0
"""Seconds to read the last result of all partitions."""


class ResultCounter:
    """Counts acknowledged results by where their topic ends: reading them would take cores.

    An async context manager.
    """

    def __init__(self, topics: Topics) -> None:
        self._topics = topics
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=topics.bootstrap,
            enable_auto_commit=False,
            max_partition_fetch_bytes=16 * 2**20,
        )
        self._partitions = [
            TopicPartition(topics.results, number) for number in range(topics.partitions)
        ]

    async def __aenter__(self) -> Self:
        await self._consumer.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._consumer.stop()

    async def count(self) -> int:
        """Count the results that there are."""
        ends = await self._consumer.end_offsets(self._partitions)
        return sum(ends.values())

    async def wait_for(self, results: float, timeout: float) -> tuple[int, float]:
        """Wait until there are so many.

        Returns:
            How many there are, and the moment, as `time.perf_counter`.

        Raises:
            TimeoutError: they do not come in time.
        """
        async with asyncio.timeout(timeout):
            # The broker tells nobody of new records who does not read them.
            while (count := await self.count()) < results:  # noqa: ASYNC110
                await asyncio.sleep(POLL)
        return count, time.perf_counter()

    async def check_last(self) -> None:
        """Read the last result of each partition: what fails at once is quick, and worth nothing.

        Raises:
            RuntimeError: it is an error.
            TimeoutError: one cannot be read.
        """
        self._consumer.assign(self._partitions)
        ends = await self._consumer.end_offsets(self._partitions)
        left = {partition: end - 1 for partition, end in ends.items() if end}
        for partition, last in left.items():
            self._consumer.seek(partition, last)
        # All in one poll, as far as they come: of many partitions each takes a while.
        async with asyncio.timeout(READING):
            while left:
                polled = await self._consumer.getmany(*left, timeout_ms=1000)
                for partition, records in polled.items():
                    del left[partition]
                    answer = orjson.loads(records[0].value)
                    if answer.get("errorCode", 0):
                        raise RuntimeError(f"a job failed: {answer.get('errorMsg')}")
