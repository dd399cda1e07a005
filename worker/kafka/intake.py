"""Polls jobs as capacity allows, runs each in a task of its own, settles it once delivered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Literal

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from worker.contract.jobs import Record
from worker.errors import KafkaSetupError
from worker.kafka.assignment import AssignedPartition, Assignment
from worker.kafka.positions import UNSETTLED, Positions
from worker.metrics import Metrics
from worker.retry import SYSTEM_CLOCK, Clock, Retry

if TYPE_CHECKING:
    from worker.budget import Budget, Reservation
    from worker.health import Heartbeat
    from worker.kafka.consumer import Consumer

__all__ = ["Intake"]

POLL_SECONDS = 0.5
"""Longest wait of one poll; also how often a poll shows that the loop lives."""

FULL_POLL_SECONDS = 0.02
"""The same while a partition is full: it cannot be polled again before the poll of others ends."""

ERROR_BACKOFF = 1.0
"""Seconds before polling again after an error."""

log = structlog.get_logger(__name__)

Handle = Callable[[Record, "Reservation"], Awaitable[None]]


class Intake:
    """The poll loop.

    Args:
        handle: takes one job to its acknowledged end; what it raises is a defect of the worker, not
            of the job.
        partition_max_jobs: jobs in flight at which a partition is paused.
        offset_reset: where a new group starts.
        error_patience: seconds of nothing but failing polls after which `run` gives up.
        on_defect: told when a job could not be brought to an end; the job stays unsettled.
        clock: what pauses and patience go by.
    """

    def __init__(  # noqa: PLR0913 - the one place where all of these meet
        self,
        consumer: Consumer,
        topic: str,
        assignment: Assignment,
        budget: Budget,
        handle: Handle,
        *,
        partition_max_jobs: int,
        offset_reset: Literal["earliest", "latest"],
        error_patience: float,
        heartbeat: Heartbeat,
        metrics: Metrics,
        on_defect: Callable[[BaseException], None],
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._consumer = consumer
        # Polled when no partition may be: aiokafka takes an empty list for all partitions, and not
        # polling at all for leaving the group.
        self._nowhere = TopicPartition(topic, -1)
        self._assignment = assignment
        self._budget = budget
        self._handle = handle
        self._partition_max_jobs = partition_max_jobs
        self._retry = Retry(ERROR_BACKOFF, ERROR_BACKOFF, patience=error_patience)
        self._clock = clock
        self._heartbeat = heartbeat
        self._metrics = metrics
        self._on_defect = on_defect
        self._stopping = False
        self._unreadable: Iterator[float] | None = None
        self._positions = Positions(consumer, topic, assignment, offset_reset, metrics)

    async def run(self) -> None:
        """Poll until cancelled; after `stop` without taking anything, to stay in the group.

        Raises:
            KafkaError: polling failed for `error_patience` seconds; aiokafka does not recover from
                some errors.
            KafkaSetupError: for as long, no partition could be read, and no job was left.
        """
        failing: Iterator[float] | None = None
        while True:
            open_partitions, most, wait = self._open_partitions()
            self._positions.note()
            try:
                try:
                    polled = await self._poll(open_partitions, most, wait)
                except UNSETTLED as error:
                    await self._positions.settle(error)
                    # With many partitions this goes on for a while: each takes a poll.
                    self._heartbeat.beat()
                    continue
                self._check_fetcher()
            except KafkaError as error:
                log.warning("poll_failed", error=str(error))
                failing = failing or self._retry.pauses(self._clock)
                if (pause := next(failing, None)) is None:
                    raise
                await self._clock.sleep(pause)
                continue
            failing = None
            self._heartbeat.beat()
            for partition, records in polled.items():
                self._take(partition, records)
            await self._pass_over()
            self._check_readable()
            if not open_partitions:
                await self._wait_for_room()

    async def _poll(
        self, partitions: list[TopicPartition], most: int, wait: float
    ) -> dict[TopicPartition, list[Record]]:
        # Never cancelled: aiokafka would count that poll as under way for ever. `timeout_ms` ends
        # it.
        return await self._consumer.getmany(
            *(partitions or [self._nowhere]),
            timeout_ms=round(wait * 1000),
            max_records=most or 1,
            max_bytes=self._budget.free_bytes,
        )

    def _check_readable(self) -> None:
        """Give up once no partition can be read any further and nothing else is left to do."""
        damaged = self._consumer.damaged
        held = [holding.partition for holding in self._assignment]
        busy = self._stopping or self._budget.jobs > 0
        if busy or not held or not damaged.keys() >= set(held):
            self._unreadable = None
            return
        # No pause: polls follow each other anyway.
        self._unreadable = self._unreadable or self._retry.pauses(self._clock)
        if next(self._unreadable, None) is None:
            found = [damaged[partition] for partition in sorted(held)]
            raise KafkaSetupError(
                "no partition of this worker can be read any further. "
                + " ".join(f"{damage}. Remedy: {damage.remedy}." for damage in found)
            )

    def _check_fetcher(self) -> None:
        """Raise what aiokafka's fetching task died of: polls return nothing after it, for ever."""
        fetcher = self._consumer._fetcher  # noqa: SLF001 - nothing else tells
        fetching: asyncio.Task[None] | None = fetcher and fetcher.error_future
        if fetching is not None and fetching.done():
            fetching.result()

    def stop(self) -> None:
        """Take in no more jobs; those in flight go on."""
        self._stopping = True

    def _open_partitions(self) -> tuple[list[TopicPartition], int, float]:
        """What to poll, the most records to take, and for how long; pauses full partitions."""
        room = 0 if self._stopping or not self._assignment.accepting else self._budget.free_jobs
        spare: dict[TopicPartition, int] = {}
        for holding in self._assignment:
            free = min(room, self._partition_max_jobs - holding.ledger.outstanding)
            if free > 0:
                spare[holding.partition] = free
        assigned = self._consumer.assignment()
        held = {holding.partition for holding in self._assignment} & assigned
        full, paused = held - spare.keys(), self._consumer.paused() & assigned
        # Paused ones are not polled either: a poll would throw away what was fetched for them
        # already.
        self._consumer.pause(*(full - paused))
        self._consumer.resume(*(paused - full))
        self._metrics.paused.set(len(full))
        polled = [partition for partition in spare if partition in assigned]
        if not polled:
            return [], 0, 0.0
        return polled, min(spare.values()), FULL_POLL_SECONDS if full else POLL_SECONDS

    async def _wait_for_room(self) -> None:
        """Wait until a job ends, but not so long that the group misses a poll."""
        try:
            async with asyncio.timeout(POLL_SECONDS):
                await self._budget.wait_freed()
        except TimeoutError:
            return

    def _take(self, partition: TopicPartition, records: list[Record]) -> None:
        holding = self._assignment.get(partition)
        if holding is None:
            return
        for record in records:
            holding.ledger.track(record.offset, record.timestamp_ms)
            held = self._budget.reserve(record.size)
            task = asyncio.create_task(self._run_job(holding, record, held), name=record.id)
            holding.tasks.add(task)
            task.add_done_callback(partial(self._job_ended, holding, held))
        self._count()

    async def _pass_over(self) -> None:
        """Step over what follows the last job and is none: transaction markers, aborted records.

        Without it a partition that such an offset ends would have a lag for ever.
        """
        assigned = self._consumer.assignment()
        for holding in list(self._assignment):
            partition, ledger = holding.partition, holding.ledger
            if ledger.unreleased or partition not in assigned:
                continue
            if self._consumer.highwater(partition) is None:
                continue  # nothing was fetched yet: where reading begins may not be known
            try:
                async with asyncio.timeout(POLL_SECONDS):
                    position = await self._consumer.position(partition)
            except (KafkaError, TimeoutError):
                return  # being revoked or reset; the next poll looks again
            if self._assignment.get(partition) is not holding:
                continue
            known = holding.start if ledger.position is None else ledger.position
            if known is None:
                holding.start = position
            elif position > known:
                ledger.advance_to(position)

    async def _run_job(self, holding: AssignedPartition, record: Record, held: Reservation) -> None:
        await self._handle(record, held)
        holding.ledger.settle(record.offset)

    def _job_ended(
        self, holding: AssignedPartition, held: Reservation, task: asyncio.Task[None]
    ) -> None:
        holding.tasks.discard(task)
        held.release()
        self._count()
        if task.cancelled():
            self._metrics.abandoned.inc()
        elif (error := task.exception()) is not None:
            # The offset stays unsettled, so nothing beyond it is committed and the job is delivered
            # again.
            log.critical("job_not_delivered", record=task.get_name(), exc_info=error)
            self._on_defect(error)

    def _count(self) -> None:
        self._metrics.in_flight.set(self._budget.jobs)
        self._metrics.buffered.set(self._budget.bytes)
