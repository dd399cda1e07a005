"""Delivery at least once, in the order of each partition's jobs, without transactions."""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING

from worker.kafka.at_least_once import AtLeastOnce
from worker.kafka.ordered import deliver_in_order
from worker.kafka.parcel import Parcel, Refusals
from worker.kafka.publisher import Publisher
from worker.metrics import Metrics

if TYPE_CHECKING:
    from aiokafka import TopicPartition

    from worker.kafka.assignment import PartitionState
    from worker.tracing.tracer import Tracer

__all__ = ["InOrder"]

WINDOW = 100
"""Most parcels of a partition that are sent at a time."""


class InOrder(AtLeastOnce):
    """Sends what each job has to say after those of all jobs before it in its partition.

    A job ends when its messages are acknowledged. Until then it counts as running: its bytes are
    accounted for, it fills its partition's share, and a drain waits for it.

    Args:
        commit_interval: seconds between commits.
        tracer: makes spans of messages; None without tracing.
    """

    def __init__(
        self,
        publisher: Publisher,
        refusals: Refusals,
        commit_interval: float,
        metrics: Metrics,
        tracer: Tracer | None,
    ) -> None:
        super().__init__(publisher, refusals, commit_interval, metrics)
        self._tracer = tracer
        self._senders: dict[TopicPartition, _Sender] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._defect: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        """Commit on a timer until cancelled.

        Raises:
            Exception: a defect.
        """
        committing = asyncio.create_task(super().run(), name="committer")
        try:
            await asyncio.wait([committing, self._defect], return_when=asyncio.FIRST_COMPLETED)
            for ended in (committing, self._defect):
                if ended.done():
                    ended.result()
        finally:
            committing.cancel()
            await asyncio.wait([committing])

    def begin(self, states: Iterable[PartitionState]) -> None:
        """Begin with newly assigned partitions."""
        self._end()
        for state in states:
            sender = self._senders[state.partition] = _Sender(self._publisher, self._refusals)
            task = asyncio.create_task(sender.run(), name=f"sender-{state.partition.partition}")
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    async def deliver(self, parcel: Parcel) -> None:
        """Wait until a parcel is acknowledged, after those of all jobs before it."""
        await deliver_in_order(parcel, self._senders.get(parcel.state.partition), self._tracer)

    async def commit(self, timeout: float | None = None) -> bool:
        """Commit what has settled, and send nothing more.

        Returns:
            Whether nothing is left to commit.
        """
        self._end()
        return await super().commit(timeout)

    def _end(self) -> None:
        self._senders = {}
        for task in self._tasks:
            task.cancel()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) and not self._defect.done():
            self._defect.set_exception(error)


class _Sender:
    """Sends one partition's parcels in order."""

    def __init__(self, publisher: Publisher, refusals: Refusals) -> None:
        self._publisher = publisher
        self._refusals = refusals
        self._waiting: deque[Parcel] = deque()
        self._news = asyncio.Event()

    def put(self, parcels: Iterable[Parcel]) -> None:
        """Have parcels sent after all that were put here before."""
        self._waiting.extend(parcels)
        self._news.set()

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            while self._waiting:
                await self._send()

    async def _send(self) -> None:
        """Send the parcels that wait now."""
        window = list(itertools.islice(self._waiting, WINDOW))
        sent = await self._publisher.send_ahead(
            [outgoing for parcel in window for outgoing in parcel.messages]
        )
        number = itertools.count()
        for parcel in window:
            # Those that were not acknowledged, each before the next one.
            left = [outgoing for outgoing in parcel.messages if next(number) not in sent]
            parcel.messages = []
            while left:
                refused = [no for one in left if (no := await self._publisher.deliver(one))]
                self._refusals.settle(parcel, refused)
                left, parcel.messages = parcel.messages, []
            self._waiting.popleft()
            if not parcel.delivered.done():
                parcel.delivered.set_result(None)
