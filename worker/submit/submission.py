"""Sends items as jobs and waits for exactly their results, a bounded number at a time."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from worker.clock import SYSTEM_CLOCK, Clock
from worker.contract.job_messages import JobEnvelope
from worker.contract.jobs import UrlImage
from worker.contract.records import Message, Record
from worker.contract.results import read_result, result_source
from worker.errors import JobError, Reason
from worker.images.local_files import read_file
from worker.images.sniffing import sniff
from worker.kafka.job_client import JobClient
from worker.settings import Settings
from worker.submit.item_result import ItemResult
from worker.submit.items import Encoding, Item
from worker.submit.outstanding import Outstanding, PendingJob
from worker.submit.saving import Saver
from worker.submit.serve import FileServer

__all__ = ["Options", "Submission"]

MAX_OUTSTANDING = 256
"""Most jobs without a result. More would only wait, here and in the jobs topic."""

MAX_SENDING = 8
"""Most jobs that are being sent. Each is held in memory until the brokers have it."""

POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Options:
    """Options of a submission.

    Attributes:
        top_k: number of categories; None leaves it to the worker.
        visualize: False asks for no pictures.
        timeout: seconds to wait for a job's result after the brokers have acknowledged the job.
        saver: saves what results hold; None saves nothing.
        serve_host: address of this machine at which the worker fetches files sent as `URL`.
    """

    top_k: int | None = None
    visualize: bool = True
    timeout: float = 60.0
    saver: Saver | None = None
    serve_host: str = "127.0.0.1"


class Submission:
    """One run over some items.

    Args:
        taken: called with each item before it is sent.
        answered: called with the result of each item, in the order in which they end.
        clock: what time-outs go by.
    """

    def __init__(
        self,
        settings: Settings,
        options: Options,
        taken: Callable[[Item], None],
        answered: Callable[[ItemResult], None],
        *,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._options = options
        self._taken = taken
        self._answered = answered
        self._clock = clock
        self._client = JobClient(settings.kafka, settings.publish)
        self._server = FileServer(options.serve_host)
        self._outstanding = Outstanding()
        self._may_take = asyncio.Semaphore(MAX_OUTSTANDING)
        self._may_send = asyncio.Semaphore(MAX_SENDING)
        self._sends: set[asyncio.Task[None]] = set()
        self._run_id = secrets.token_hex(16)
        self._open = 0
        self._exhausted = False

    async def run(self, items: AsyncIterator[Item]) -> None:
        """Submit all items and wait until each has a result, or has failed.

        Raises:
            KafkaSetupError: Kafka cannot be used as configured, or no longer.
            WorkerError: pictures cannot be saved, or files cannot be served.
        """
        async with self._client:
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._receive(), name="receive")
                    await self._send_all(items, group)
            except ExceptionGroup as failed:
                # The first one is the cause: the other tasks were cancelled because of it.
                raise failed.exceptions[0] from None
            finally:
                await self._server.close()

    async def _send_all(self, items: AsyncIterator[Item], group: asyncio.TaskGroup) -> None:
        number = 0
        async for item in items:
            await self._may_take.acquire()
            await self._may_send.acquire()
            number += 1
            self._open += 1
            self._taken(item)
            job = PendingJob(number, f"{self._run_id}-{number}", item, self._clock.monotonic())
            send = group.create_task(self._send(job), name=f"send-{number}")
            self._sends.add(send)
            send.add_done_callback(self._sends.discard)
        self._exhausted = True

    async def _send(self, job: PendingJob) -> None:
        try:
            message = await self._encode(job)
            job.began = self._clock.monotonic()
            self._outstanding.add(job)
            record_id = await self._client.send(message)
            expires = self._clock.monotonic() + self._options.timeout
            self._outstanding.locate(job.correlation, record_id, expires)
        except JobError as error:
            self._outstanding.take(job.correlation, None)
            self._end(
                job,
                ItemResult(job.number, job.item, error=error.message, reason=error.reason.label),
            )
        finally:
            self._may_send.release()

    async def _encode(self, job: PendingJob) -> Message:
        item, options = job.item, self._options
        envelope = JobEnvelope(item.name, job.correlation, options.top_k, options.visualize)
        match item.content:
            case JobError() as error:
                raise error
            case UrlImage(url):
                return envelope.with_url(url)
            case Path() as path if item.encoding is Encoding.URL:
                await asyncio.to_thread(read_file, path, 0)  # raises if there is no such file
                return envelope.with_url(await self._server.offer(job.correlation, path))
            case Path() as path:
                image = await asyncio.to_thread(self._read, path)
                if item.encoding is Encoding.RAW:
                    return envelope.with_raw(image, _content_type(image))
                return envelope.with_base64(image)
            case written:
                return envelope.with_job(written)

    def _read(self, path: Path) -> bytes:
        most = self._client.max_bytes
        image = read_file(path, most)
        if not image:
            raise JobError(Reason.NOT_AN_IMAGE, "the file is empty")
        if len(image) > most:
            raise JobError(
                Reason.TOO_LARGE, f"the file has more than the {most} bytes that the topic takes"
            )
        return image

    async def _receive(self) -> None:
        while self._open or not self._exhausted:
            for record in await self._client.poll(POLL_SECONDS):
                await self._match(record)
            for job in self._outstanding.take_expired(self._clock.monotonic()):
                error = f"no result within {self._options.timeout:g} s"
                self._end(job, ItemResult(job.number, job.item, job.record_id, error=error))

    async def _match(self, record: Record) -> None:
        """Find the job that a result belongs to; nothing happens if it is not one of ours."""
        correlation, source = result_source(record)
        job = self._outstanding.take(correlation, source)
        if job is None and correlation is None and self._sends:
            # The worker leaves copied headers out where a result would not fit otherwise. Then only
            # the id of the job's record tells whose result it is, and that is known once the
            # brokers have acknowledged the job.
            await asyncio.wait(tuple(self._sends))
            job = self._outstanding.take(None, source)
        if job is not None:
            self._end(job, self._read_result(job, record, source))

    def _read_result(self, job: PendingJob, record: Record, source: str | None) -> ItemResult:
        latency = self._clock.monotonic() - job.began
        try:
            result = read_result(record.value)
        except ValueError as error:
            return ItemResult(job.number, job.item, source, error=str(error), latency=latency)
        saver = self._options.saver
        saved: Path | None = None
        if saver is not None and result.code == 0:
            saved = saver.save(job.number, job.item.name, result)
        return ItemResult(
            job.number,
            job.item,
            source,
            code=result.code,
            error=None if result.code == 0 else result.message,
            categories=result.categories,
            latency=latency,
            saved=saved,
        )

    def _end(self, job: PendingJob, result: ItemResult) -> None:
        self._server.withdraw(job.correlation)
        self._open -= 1
        self._may_take.release()
        self._answered(result)


def _content_type(image: bytes) -> str:
    try:
        return sniff(image).media_type
    except JobError:
        # The worker says better than this command could what is wrong with it.
        return "image/unknown"
