"""Delivery exactly once: each partition's results and its offset in transactions of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

from worker.kafka.broker_errors import TOO_LARGE, Refused
from worker.kafka.ordered import deliver_in_order
from worker.kafka.outgoing import Sizes
from worker.kafka.parcel import Parcel, Refusals
from worker.kafka.partition_transactions import PartitionTransactions
from worker.kafka.publisher import BACKOFF_INITIAL
from worker.kafka.starts import Starts
from worker.kafka.topic_history import TopicHistory
from worker.kafka.transaction_check import transactional_id, try_transactions
from worker.kafka.transaction_context import Shared
from worker.kafka.transactional_producer import TransactionalProducer
from worker.metrics import Metrics
from worker.retry import Retry
from worker.settings import Settings

if TYPE_CHECKING:
    from aiokafka import AIOKafkaProducer, TopicPartition

    from worker.kafka.assignment import Assignment, PartitionState
    from worker.kafka.consumer import Consumer
    from worker.tracing.tracer import Tracer

__all__ = ["ExactlyOnce"]

COMMIT_TIMEOUT = 5.0
"""Seconds for the last transactions before partitions are given up."""


class ExactlyOnce:
    """Hands what each job has to say to its partition's transactions, in the order of the jobs.

    A job ends when its transaction is committed. Until then it counts as running: its bytes are
    accounted for, it fills its partition's share, and a drain waits for it.

    Args:
        make: makes aiokafka's producer for a transactional id, not started.
        sizes: what topics are known to take.
        tracer: makes spans of messages; None without tracing.
    """

    def __init__(
        self,
        make: Callable[[str], AIOKafkaProducer],
        settings: Settings,
        sizes: Sizes,
        refusals: Refusals,
        history: TopicHistory,
        metrics: Metrics,
        *,
        tracer: Tracer | None = None,
    ) -> None:
        self._make = make
        self._settings = settings
        self._sizes = sizes
        self._refusals = refusals
        self._history = history
        self._metrics = metrics
        self._tracer = tracer
        self._shared: Shared | None = None
        self._loops: dict[TopicPartition, PartitionTransactions] = {}
        self._tasks: dict[asyncio.Task[None], PartitionTransactions] = {}
        self._defect: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._stopped = False

    @property
    def connected(self) -> bool:
        """Whether a producer is connected, if there is any."""
        return not self._loops or any(loop.connected for loop in self._loops.values())

    async def connect(self) -> None:
        """Find out whether the brokers let this worker use transactions.

        Raises:
            KafkaSetupError: they do not; the message says why and what to change.
        """
        await try_transactions(self._settings, self._settings.kafka.request_timeout)

    def attach(self, consumer: Consumer, assignment: Assignment) -> None:
        """Take note of whose offsets are committed."""
        settings = self._settings
        self._shared = Shared(
            make=self._producer,
            consumer=consumer,
            assignment=assignment,
            settings=settings.transactions,
            starts=Starts(),
            sizes=self._sizes,
            refusals=self._refusals,
            history=self._history,
            metrics=self._metrics,
            retry=Retry(BACKOFF_INITIAL, settings.publish.backoff_max, jitter=True),
            membership_pause=settings.kafka.heartbeat_interval,
            results_topic=settings.kafka.results_topic,
        )

    async def run(self) -> None:
        """Wait for a defect, until cancelled.

        Raises:
            Exception: the defect.
        """
        await self._defect

    def begin(self, states: Iterable[PartitionState]) -> None:
        """Begin with newly assigned partitions: none is polled before its producer has started."""
        if self._stopped:
            # The group has gone on while the worker leaves it: nobody would stop what began now.
            return
        assert self._shared is not None
        for state in states:
            state.ready = False
            self._shared.consumer.pause(state.partition)
            loop = self._loops[state.partition] = PartitionTransactions(state, self._shared)
            task = asyncio.create_task(loop.run(), name=f"transactions-{state.partition.partition}")
            self._tasks[task] = loop
            task.add_done_callback(self._ended)

    async def deliver(self, parcel: Parcel) -> None:
        """Wait until a parcel is committed, after those of all jobs before it."""
        self._fit(parcel)
        await deliver_in_order(parcel, self._loops.get(parcel.state.partition), self._tracer)

    def hurry(self) -> None:
        """Commit at once what waits for a better moment."""
        for loop in self._loops.values():
            loop.hurry()

    async def commit(self, timeout: float | None = None) -> bool:
        """End the transactions of all partitions.

        Jobs that have ended are committed as a rule: draining waits for that.

        Returns:
            Whether nothing was left to commit.
        """
        self.hurry()
        tasks, self._tasks, self._loops = self._tasks, {}, {}
        quiet = [asyncio.create_task(loop.quiet()) for loop in tasks.values()]
        late: set[asyncio.Task[None]] = set()
        if quiet:
            _, late = await asyncio.wait(quiet, timeout=timeout or COMMIT_TIMEOUT)
            for waiting in late:
                waiting.cancel()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(loop.stop() for loop in tasks.values()))
        return not late

    async def stop(self, timeout: float) -> None:
        """Disconnect, and begin with no partition any more."""
        self._stopped = True
        await self.commit(timeout)

    def _fit(self, parcel: Parcel) -> None:
        """Make messages fit their topics: one that does not would abort its transaction."""
        while True:
            parcel.messages = [self._sizes.fit(outgoing) for outgoing in parcel.messages]
            for outgoing in parcel.messages:
                if outgoing.message.size > self._sizes.limit(outgoing.topic):
                    refused = Refused(outgoing.topic, TOO_LARGE, "MESSAGE_TOO_LARGE")
                    self._refusals.replace(parcel, outgoing, refused)
                    break
            else:
                return

    def _producer(self, partition: TopicPartition) -> TransactionalProducer:
        group = self._settings.kafka.group_id
        name = transactional_id(group, partition.topic, partition.partition)
        return TransactionalProducer(partial(self._make, name), group, self._history.is_isolated)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) and not self._defect.done():
            self._defect.set_exception(error)
