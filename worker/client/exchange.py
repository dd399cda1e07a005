"""Jobs out, their results in: any number of callers share one connection to Kafka."""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from worker.client.errors import ClientClosed
from worker.client.outstanding import Outstanding, PendingJob
from worker.client.unclaimed import Unclaimed
from worker.contract.results import result_source

if TYPE_CHECKING:
    from worker.contract.records import Message, Record

__all__ = ["Exchange", "Transport"]

MAX_SENDING = 8
"""Most jobs that are read and sent at a time. Each is held in memory until the brokers have it."""

MAX_UNCLAIMED = 32 * 1024 * 1024
"""Bytes of results without a correlation id at which reading waits for jobs to be sent."""

POLL_SECONDS = 1.0

Prepare = Callable[[str], Awaitable["Message"]]


class Transport(Protocol):
    """What carries jobs and results: `worker.kafka.job_client.JobClient`."""

    @property
    def max_bytes(self) -> int:
        """Largest message that the jobs topic takes."""
        ...

    async def __aenter__(self) -> object:
        """Connect, positioned at the end of the results."""
        ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        """Disconnect."""
        ...

    async def send(self, message: Message) -> str:
        """Send one job and wait until it is acknowledged; returns the id of its record."""
        ...

    async def poll(self, wait: float) -> list[Record]:
        """Read the results that have arrived, waiting at most `wait` seconds for the first."""
        ...


class Exchange:
    """Sends jobs and finds their results; a context manager, for one event loop.

    Time-outs are the callers' own: what they cancel is forgotten, and its result ignored.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._outstanding = Outstanding()
        self._unclaimed = Unclaimed(MAX_UNCLAIMED)
        self._turns = asyncio.Semaphore(MAX_SENDING)
        # By number, in the order in which they began.
        self._sends: dict[int, asyncio.Task[None]] = {}
        self._newest = 0
        self._numbers = itertools.count(1)
        self._run_id = secrets.token_hex(16)
        self._stack = AsyncExitStack()
        # Invariant: set once jobs can have no results any more.
        self._ended: Exception | None = None

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            KafkaSetupError: Kafka cannot be used as configured.
        """
        await self._stack.enter_async_context(self._transport)
        receiving = asyncio.create_task(self._receive(), name="results")
        self._stack.push_async_callback(_cancel, receiving)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end(ClientClosed("the client was closed before the job had a result"))
        await _cancel(*self._sends.values())
        await self._stack.aclose()

    @property
    def waiting(self) -> int:
        """Jobs whose results are waited for."""
        return len(self._outstanding)

    async def ask(self, prepare: Prepare, acknowledged: Callable[[str], None]) -> Record:
        """Send a job and wait for its result.

        Args:
            prepare: makes the message, with the correlation id that it is given. It is called when
                the job's turn comes: what it reads is held in memory.
            acknowledged: called with the id of the job's record once the brokers have it.

        Returns:
            The record of the result.

        Raises:
            JobError: the message is too large for the topic.
            KafkaSetupError: the brokers refuse the job, or results cannot be read.
            ClientClosed: the exchange was closed.
            Exception: what `prepare` raises.
        """
        await self._turns.acquire()
        try:
            self._check()
            correlation = f"{self._run_id}-{next(self._numbers)}"
            message = await prepare(correlation)
            self._check()
        except BaseException:
            self._turns.release()
            raise
        job = PendingJob(correlation, asyncio.get_running_loop().create_future())
        self._outstanding.add(job)
        self._newest += 1
        # A task of its own: what was handed to the producer is sent even if nobody waits for it.
        self._sends[self._newest] = asyncio.create_task(
            self._send(self._newest, job, message, acknowledged)
        )
        try:
            return await job.answer
        finally:
            self._outstanding.forget(job)

    async def _send(
        self, number: int, job: PendingJob, message: Message, acknowledged: Callable[[str], None]
    ) -> None:
        try:
            record_id = await self._transport.send(message)
        except Exception as error:  # noqa: BLE001 - raised where the answer is waited for
            _fail(job, error)
        else:
            acknowledged(record_id)
            self._outstanding.locate(job, record_id)
            if (result := self._unclaimed.claim(record_id)) is not None:
                self._outstanding.forget(job)
                _answer(job, result)
        finally:
            del self._sends[number]
            self._unclaimed.drop_before(next(iter(self._sends), None))
            self._turns.release()

    async def _receive(self) -> None:
        try:
            while True:
                for record in await self._transport.poll(POLL_SECONDS):
                    self._match(record)
                while self._unclaimed.full:  # so some are being sent
                    await asyncio.wait(self._sends.values(), return_when=asyncio.FIRST_COMPLETED)
        except Exception as error:  # noqa: BLE001 - raised where answers are waited for
            self._end(error)

    def _match(self, result: Record) -> None:
        """Find the job that a result belongs to; nothing happens if it is not one of ours."""
        correlation, record_id = result_source(result)
        job = self._outstanding.take(correlation, record_id)
        if job is not None:
            _answer(job, result)
        elif correlation is None and record_id is not None and self._sends:
            self._unclaimed.hold(record_id, result, self._newest)

    def _check(self) -> None:
        if self._ended is not None:
            raise self._ended

    def _end(self, error: Exception) -> None:
        self._ended = self._ended or error
        for job in self._outstanding.take_all():
            _fail(job, error)


def _answer(job: PendingJob, result: Record) -> None:
    if not job.answer.done():  # the caller may have given up in this turn of the loop
        job.answer.set_result(result)


def _fail(job: PendingJob, error: Exception) -> None:
    if not job.answer.done():
        job.answer.set_exception(error)


async def _cancel(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
