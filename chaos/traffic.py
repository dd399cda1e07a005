"""Sends the jobs, and watches how many are answered."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from chaos.history import Job, Removal, Way
from chaos.jobs import Draft
from chaos.topics import JOBS, OUTPUT_PARTITIONS, RESULTS, Topics, now_ms
from worker.contract.headers import CORRELATION_ID

__all__ = ["Traffic", "job_id_of"]

_CHUNK = 100
_PATIENCE_MS = 120_000
_AHEAD_MS = 50 * 60 * 1000
"""Brokers refuse timestamps that are more than an hour ahead of their clock."""
_BEHIND_MS = 30 * 24 * 3600 * 1000


def job_id_of(record: ConsumerRecord[bytes, bytes]) -> str:
    """Find which job a record is, or is about.

    Returns:
        The job's id, from the header that results and dead letters carry as well.
    """
    headers: dict[str, bytes] = dict(record.headers)
    return headers.get(CORRELATION_ID, b"").decode()


class Traffic:
    """The jobs of a run on their way; an asynchronous context manager.

    Args:
        servers: bootstrap servers of the INTERNAL listeners: faults of the network are for workers.
        drafts: the jobs, in their order.
        message: makes the record of a draft.
        backlog: most jobs sent and not done.

    Attributes:
        allowed: how many jobs may be sent by now.
        sent: jobs by id that were acknowledged.
        unsure: those that were not, though they may be in the topic: how each carries its image,
            and when it was sent, by id.
        skewed: how many of the next jobs have timestamps that are off.
        ahead: whether these are ahead of the clock, not behind it.
    """

    def __init__(
        self,
        servers: str,
        topics: Topics,
        drafts: list[Draft],
        message: Callable[[Draft], tuple[bytes | None, list[tuple[str, bytes]]]],
        backlog: int,
    ) -> None:
        self._servers = servers
        self._topics = topics
        self._drafts = drafts
        self._message = message
        self._backlog = backlog
        self.allowed = 0
        self.sent: dict[str, Job] = {}
        self.unsure: dict[str, tuple[Way, int]] = {}
        # Invariant: ids of jobs that are answered, were removed by a fault, or were given up.
        self._done: set[str] = set()
        self._begun = 0
        self.skewed = 0
        self.ahead = False
        self._changed = asyncio.Event()
        self._sending = asyncio.Lock()
        self._producer: AIOKafkaProducer[bytes, bytes] | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(each) for each in (self._send(), self._watch())]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._stop_producer()

    @property
    def done(self) -> int:
        """How many jobs are answered, were removed by a fault, or were never acknowledged."""
        return len(self._done)

    @property
    def open(self) -> int:
        """How many jobs were sent and are not done."""
        return self._begun - len(self._done)

    @property
    def full(self) -> bool:
        """Whether no more jobs may be sent for now."""
        return self.open >= self._backlog or self._begun >= self.allowed

    def check(self) -> None:
        """Raise the error that ended sending or watching, if one did."""
        for task in self._tasks:
            if task.done():
                task.result()

    async def wait(self, timeout: float) -> None:
        """Return when another job is done, at the latest after `timeout` seconds."""
        self._changed.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), timeout)
        self.check()

    def remove(self, removal: Removal) -> None:
        """Count the jobs of a removal as done: nobody need answer them."""
        self._done |= {job.job_id for job in self.sent.values() if removal.holds(job)}
        self._changed.set()

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Send nothing meanwhile; all that was sent before is acknowledged, or given up."""
        async with self._sending:
            await self._stop_producer()
            yield

    async def _send(self) -> None:
        while self._begun < len(self._drafts):
            while self.full:
                await self.wait(0.1)
            async with self._sending:
                end = min(self._begun + _CHUNK, self.allowed)
                await self._send_chunk(self._drafts[self._begun : end])

    async def _send_chunk(self, chunk: list[Draft]) -> None:
        producer = self._producer or await self._start_producer()
        partitions = len(await producer.partitions_for(JOBS))
        acknowledged = []
        sent_ms = now_ms()
        for draft in chunk:
            self.unsure[draft.job_id] = (draft.way, sent_ms)
            self._begun += 1
            value, headers = self._message(draft)
            partition = draft.spot % partitions
            acknowledged.append(
                await producer.send(
                    JOBS,
                    value,
                    # Results take it over, so those of one partition's jobs share a partition.
                    key=b"%d" % partition,
                    headers=headers,
                    partition=partition,
                    timestamp_ms=self._timestamp(),
                )
            )
        answers = await asyncio.gather(*acknowledged, return_exceptions=True)
        for draft, answer in zip(chunk, answers, strict=True):
            if isinstance(answer, BaseException):
                # Its sequence numbers may be broken from here on.
                await self._stop_producer()
                self._done.add(draft.job_id)
                continue
            del self.unsure[draft.job_id]
            job = Job(
                draft.job_id,
                draft.way,
                sent_ms,
                self._topics.birth,
                answer.partition,
                answer.offset,
            )
            self.sent[draft.job_id] = job
            # A fault may have removed it before this line.
            if any(removal.holds(job) for removal in self._topics.removals):
                self._done.add(job.job_id)

    def _timestamp(self) -> int | None:
        if not self.skewed:
            return None
        self.skewed -= 1
        return now_ms() + (_AHEAD_MS if self.ahead else -_BEHIND_MS)

    async def _start_producer(self) -> AIOKafkaProducer[bytes, bytes]:
        while True:
            producer: AIOKafkaProducer[bytes, bytes] = AIOKafkaProducer(
                bootstrap_servers=self._servers,
                enable_idempotence=True,
                request_timeout_ms=_PATIENCE_MS,
                metadata_max_age_ms=5000,
            )
            try:
                await producer.start()
            except KafkaError:
                await producer.stop()
                await asyncio.sleep(0.2)
                continue
            self._producer = producer
            return producer

    async def _stop_producer(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(producer.stop(), 10)

    async def _watch(self) -> None:
        async with AIOKafkaConsumer(
            bootstrap_servers=self._servers,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            request_timeout_ms=10_000,
        ) as consumer:
            consumer.assign(
                [TopicPartition(RESULTS, number) for number in range(OUTPUT_PARTITIONS)]
            )
            while True:
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    self._done |= {job_id_of(record) for record in records}
                    self._changed.set()
