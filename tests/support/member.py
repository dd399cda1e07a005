"""One member of a consumer group: real intake, ledgers and commits, and jobs that the test ends."""

from __future__ import annotations

import asyncio
from typing import Any, Self, cast

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from worker.budget import Budget, Reservation
from worker.contract.records import Record
from worker.health import Heartbeat
from worker.kafka.assignment import Assignment, PartitionState
from worker.kafka.at_least_once import AtLeastOnce
from worker.kafka.client import make_consumer, stop_bounded
from worker.kafka.intake import Intake
from worker.kafka.lag import LagWatch
from worker.kafka.rebalance import RebalanceListener
from worker.metrics import Metrics
from worker.settings import KafkaSettings

BOUND = 30.0

Place = tuple[int, int]
"""Partition and offset."""


class Member:
    """Takes jobs in and holds them until `finish`."""

    def __init__(
        self,
        kafka: KafkaSettings,
        *,
        max_jobs: int = 100,
        max_bytes: int = 10**9,
        partition_max_jobs: int = 100,
        drain_timeout: float = BOUND,
        error_patience: float = BOUND,
    ) -> None:
        self.kafka = kafka
        self.metrics = Metrics()
        self.assignment = Assignment()
        self.budget = Budget(max_jobs, max_bytes)
        self.heartbeat = Heartbeat(BOUND)
        self.started: list[Place] = []
        self.most: dict[int, int] = {}
        self.defects: list[BaseException] = []
        self.consumer: AIOKafkaConsumer = make_consumer(kafka)
        # Its jobs end without a message, so nothing is published.
        nothing = cast("Any", None)
        self.committer = AtLeastOnce(nothing, nothing, 0.1, self.metrics)
        self.committer.attach(self.consumer, self.assignment)
        self.lag = LagWatch(self.consumer, self.assignment, 0.1, interval=0.1)
        self.intake = Intake(
            self.consumer,
            kafka.jobs_topic,
            self.assignment,
            self.budget,
            self._hold,
            partition_max_jobs=partition_max_jobs,
            offset_reset=kafka.auto_offset_reset,
            error_patience=error_patience,
            heartbeat=self.heartbeat,
            metrics=self.metrics,
            on_defect=self.defects.append,
        )
        self._drain_timeout = drain_timeout
        self._held: dict[Place, asyncio.Future[None]] = {}
        self._changed = asyncio.Condition()
        self.loops: list[asyncio.Task[None]] = []
        self.free = False

    async def __aenter__(self) -> Self:
        listener = RebalanceListener(
            self.assignment, self.committer, self._drain_timeout, self.metrics, lambda _: None
        )
        self.consumer.subscribe([self.kafka.jobs_topic], listener=listener)
        await self.consumer.start()
        self.loops = [
            asyncio.create_task(self.intake.run()),
            asyncio.create_task(self.committer.run()),
            asyncio.create_task(self.lag.run()),
        ]
        return self

    async def __aexit__(self, *exc: object) -> None:
        for task in self.loops:
            task.cancel()
        results = await asyncio.gather(*self.loops, return_exceptions=True)
        await self.assignment.abandon()
        await stop_bounded(self.consumer, "consumer")
        for error in results:
            assert isinstance(error, asyncio.CancelledError), error

    @property
    def running(self) -> list[Place]:
        """Jobs that are held now, in order of partition and offset."""
        return sorted(self._held)

    async def reach(self, *places: Place) -> None:
        """Wait until exactly these jobs are held."""
        expected = sorted(places)
        try:
            async with asyncio.timeout(BOUND), self._changed:
                await self._changed.wait_for(lambda: self.running == expected)
        except TimeoutError:
            pytest.fail(f"held are {self.running}, not {expected}")

    async def reach_count(self, count: int) -> None:
        """Wait until so many jobs are held."""
        try:
            async with asyncio.timeout(BOUND), self._changed:
                await self._changed.wait_for(lambda: len(self._held) == count)
        except TimeoutError:
            pytest.fail(f"held are {self.running}, not {count}")

    def finish(self, *places: Place) -> None:
        """End held jobs well."""
        for place in places:
            self._held[place].set_result(None)

    def fail(self, place: Place, error: Exception) -> None:
        """End a held job as a defect does."""
        self._held[place].set_exception(error)

    def finish_all(self) -> None:
        """End all held jobs, and let later ones end at once."""
        self.free = True
        self.finish(*self._held)

    async def beats(self, count: int) -> None:
        """Wait for `count` polls."""
        async with asyncio.timeout(BOUND):
            for _ in range(count):
                last = self.heartbeat.last
                while self.heartbeat.last == last:  # noqa: ASYNC110 - a heartbeat has no event
                    await asyncio.sleep(0.005)

    async def reach_committed(self, partition: int, offset: int) -> None:
        """Wait until the broker knows this offset as committed."""
        async with asyncio.timeout(BOUND):
            while await self.committed(partition) != offset:  # noqa: ASYNC110 - by asking it
                await asyncio.sleep(0.02)

    async def reach_lag(self, *lags: int) -> None:
        """Wait until the partitions' lags are these."""
        expected = list(lags)
        async with asyncio.timeout(BOUND):
            while [each.lag for each in self.assignment.progress()] != expected:  # noqa: ASYNC110 - it is asked for on a timer
                await asyncio.sleep(0.02)

    async def asked_again(self) -> None:
        """Wait for an answer on where the first partition ends, to a question asked from now on."""
        state = next(iter(self.assignment))
        async with asyncio.timeout(BOUND):
            # The next one may be on its way.
            for _ in range(2):
                known = state.end_known_at
                while state.end_known_at == known:  # noqa: ASYNC110 - it is asked on a timer
                    await asyncio.sleep(0.02)

    async def committed(self, partition: int) -> int | None:
        """What the broker knows as committed."""
        offset: Any = await self.consumer.committed(
            TopicPartition(self.kafka.jobs_topic, partition)
        )
        return None if offset is None else int(offset)

    def value(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0

    async def _hold(self, state: PartitionState, record: Record, held: Reservation) -> None:
        place = record.partition, record.offset
        self.started.append(place)
        future = self._held[place] = asyncio.get_running_loop().create_future()
        in_flight = sum(partition == record.partition for partition, _ in self._held)
        self.most[record.partition] = max(self.most.get(record.partition, 0), in_flight)
        await self._tell()
        try:
            if not self.free:
                await future
        finally:
            # The same place may have come again, in a topic that was made anew.
            if self._held.get(place) is future:
                del self._held[place]
            await self._tell()

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()
