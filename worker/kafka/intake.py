"""Polls jobs as capacity allows, runs each in its own task, and settles it once delivered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Literal

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from worker.clock import SYSTEM_CLOCK, Clock
from worker.contract.records import Record
from worker.errors import KafkaSetupError
from worker.kafka.assignment import Assignment, PartitionState
from worker.kafka.positions import POSITION_ERRORS, Positions
from worker.kafka.retry_share import RetryShare
from worker.kafka.retry_waits import RetryWaits
from worker.metrics import Metrics
from worker.retry import Retry

if TYPE_CHECKING:
    from worker.budget import Budget, Reservation
    from worker.health import Heartbeat
    from worker.kafka.consumer import Consumer

__all__ = ["Intake"]

POLL_SECONDS = 0.5
"""Longest wait of one poll, and so the longest time between two heartbeats."""

FULL_POLL_SECONDS = 0.02
"""The same while a partition is full: it cannot be polled again until the others' poll ends."""

POLL_RECORDS = 32
"""Most records of one poll. Each begins a job, and all of them before anything else has a turn: of
a thousand that wait when a worker starts, that would take a tenth of a second."""

ERROR_BACKOFF = 1.0
"""Seconds before polling again after an error."""

log = structlog.get_logger(__name__)

Handle = Callable[[PartitionState, Record, "Reservation"], Awaitable[None]]


class Intake:
    """The poll loop.

    Args:
        handle: processes one record until its messages are acknowledged. What it raises is a defect
            of the worker, not of the job.
        partition_max_jobs: jobs in flight at which a partition is paused.
        offset_reset: where a new group starts.
        error_patience: seconds after which `run` gives up if all polls fail.
        on_defect: called when `handle` raised. The job stays unsettled.
        waits: says which records of retry topics are due.
        clock: measures pauses and the patience.
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
        waits: RetryWaits | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._consumer = consumer
        # Polled when no partition may be polled: to aiokafka an empty list means all partitions,
        # and a consumer that does not poll leaves the group.
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
        metrics.in_flight.set_function(lambda: budget.jobs)
        metrics.buffered.set_function(lambda: budget.bytes)
        self._waits = RetryWaits({}) if waits is None else waits
        self._share = RetryShare(budget)
        self._stopping = False
        self._unreadable: Iterator[float] | None = None
        self._positions = Positions(consumer, topic, assignment, offset_reset, metrics)

    async def run(self) -> None:
        """Poll until cancelled. After `stop` polls take nothing in, and only keep the membership.

        Raises:
            KafkaError: polling failed for `error_patience` seconds. aiokafka does not recover from
                some errors.
            KafkaSetupError: no partition could be read for `error_patience` seconds, and no job
                runs.
        """
        failing: Iterator[float] | None = None
        while True:
            open_partitions, most, wait = self._open_partitions()
            self._positions.note()
            try:
                try:
                    polled = await self._poll(open_partitions, most, wait)
                except POSITION_ERRORS as error:
                    await self._positions.resolve(error)
                    # With many partitions this takes a while, since each needs a poll.
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
            # At once: what was polled may not be dropped between, and then be taken for no jobs.
            self._skip_non_jobs()
            self._check_readable()
            if polled:
                # A poll that finds what is already fetched lets nobody else run.
                await asyncio.sleep(0)
            if not open_partitions:
                await self._wait_for_room()

    async def _poll(
        self, partitions: list[TopicPartition], most: int, wait: float
    ) -> dict[TopicPartition, list[Record]]:
        # Never cancelled: aiokafka would count the poll as running forever. `timeout_ms` ends it.
        return await self._consumer.getmany(
            *(partitions or [self._nowhere]),
            timeout_ms=round(wait * 1000),
            max_records=min(most, POLL_RECORDS) or 1,
            max_bytes=self._budget.free_bytes,
        )

    def _check_readable(self) -> None:
        """Give up if no partition can be read any further and no job runs.

        Raises:
            KafkaSetupError: that has been so for `error_patience` seconds.
        """
        damaged = self._consumer.damaged
        held = [state.partition for state in self._assignment]
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
        """Raise the error that ended aiokafka's fetching task: later polls return nothing."""
        fetcher = self._consumer._fetcher  # noqa: SLF001 - nothing else tells
        fetching: asyncio.Task[None] | None = fetcher and fetcher.error_future
        if fetching is not None and fetching.done():
            fetching.result()

    def stop(self) -> None:
        """Take in no more jobs. Those in flight go on."""
        self._stopping = True

    def _open_partitions(self) -> tuple[list[TopicPartition], int, float]:
        """Choose the partitions to poll, and pause those that are full.

        Returns:
            The partitions, the most records to poll, and the longest wait in seconds.
        """
        room = 0 if self._stopping or not self._assignment.accepting else self._budget.free_jobs
        capacity: dict[TopicPartition, int] = {}
        waiting: set[TopicPartition] = set()
        for state in self._assignment:
            free = min(room, self._partition_max_jobs - state.ledger.outstanding)
            if self._waits.concern(state):
                free = min(free, self._share.free_jobs)
            if self._waits.is_waiting(state):
                waiting.add(state.partition)
            elif free > 0 and state.ready:
                capacity[state.partition] = free
        assigned = self._consumer.assignment()
        held = {state.partition for state in self._assignment} & assigned
        closed, paused = held - capacity.keys(), self._consumer.paused() & assigned
        # Paused partitions are not polled: a poll would drop what is already fetched for them.
        self._consumer.pause(*(closed - paused))
        self._consumer.resume(*(paused - closed))
        full = closed - waiting
        self._metrics.paused.set(len(full))
        polled = [partition for partition in capacity if partition in assigned]
        if not polled:
            return [], 0, 0.0
        # Never 0: such a poll would let no other task run.
        wait = max(FULL_POLL_SECONDS, 0.0 if full else self._waits.soonest(POLL_SECONDS))
        return polled, min(capacity.values()), wait

    async def _wait_for_room(self) -> None:
        """Wait until a job ends, at most until the next poll or retry is due."""
        try:
            async with asyncio.timeout(self._waits.soonest(POLL_SECONDS)):
                await self._budget.wait_freed()
        except TimeoutError:
            return

    def _take(self, partition: TopicPartition, records: Sequence[Record]) -> None:
        state = self._assignment.get(partition)
        if state is None or not state.ready:
            return
        retries = self._waits.concern(state)
        due = self._waits.take_due(state, records) if retries else records
        if len(due) < len(records) and partition in self._consumer.assignment():
            # What was fetched is dropped with this: nothing is held of records that wait.
            self._consumer.pause(partition)
            self._consumer.seek(partition, records[len(due)].offset)
        for record in due:
            state.track(record.offset, record.timestamp_ms)
            held = self._budget.reserve(record.size)
            task = asyncio.create_task(self._run_job(state, record, held), name=record.id)
            state.tasks.add(task)
            task.add_done_callback(partial(self._job_ended, state, held))
            if retries:
                self._share.take(record.size, task)

    def _skip_non_jobs(self) -> None:
        """Skip offsets after the last job that are no jobs: transaction markers, aborted records.

        Otherwise a partition that ends with such offsets would always have a lag.
        """
        if not self._assignment.accepting:
            return  # a poll that was under way may have returned jobs, which are dropped
        assigned = self._consumer.assignment()
        for state in self._assignment:
            partition, ledger = state.partition, state.ledger
            if ledger.unreleased or not state.ready or partition not in assigned:
                continue
            if self._consumer.highwater(partition) is None:
                continue  # nothing was fetched yet, so the position may not be known
            position = self._consumer.current_position(partition)
            if position is None:
                continue  # being revoked or reset; the next round tries again
            known = state.start if ledger.position is None else ledger.position
            if known is None:
                state.start = position
            elif position > known:
                ledger.advance_to(position)

    async def _run_job(self, state: PartitionState, record: Record, held: Reservation) -> None:
        await self._handle(state, record, held)
        state.ledger.settle(record.offset)

    def _job_ended(
        self, state: PartitionState, held: Reservation, task: asyncio.Task[None]
    ) -> None:
        state.tasks.discard(task)
        held.release()
        if task.cancelled():
            self._metrics.abandoned.inc()
        elif (error := task.exception()) is not None:
            # The offset stays unsettled: nothing beyond it is committed, and the job is delivered
            # again.
            log.critical("job_not_delivered", record=task.get_name(), exc_info=error)
            self._on_defect(error)
