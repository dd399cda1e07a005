"""Latency of a worker behind a real broker, at a given load, from when each job was due.

And what of it is the worker's: from when the broker appended the job's record to when it appended
the result's, by the broker's clock. Sender and reader share the cores, but are not in that.

A bare program beside it shows what no program could do sooner: it reads a job, decodes, computes on
all cores, draws and writes the result, all in one process, and nothing else.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from itertools import chain
from typing import Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import RecordMetadata

from benchmarks.messages import job_messages
from benchmarks.saturation import Setting, run_workers
from benchmarks.topics import Topics, make_topics
from benchmarks.transport import bare_program
from worker.bench.latency import due_times, latencies, percentiles
from worker.bench.measurement import Measurement
from worker.contract.headers import CORRELATION_ID
from worker.inference.placement import available_cores
from worker.kafka.client import make_producer, stop_bounded
from worker.settings import Settings

__all__ = [
    "ONE_PRODUCE",
    "RECORD_TO_RESULT",
    "measure_bare_program",
    "measure_latency",
]


ONE_PRODUCE = "one produce"
RECORD_TO_RESULT = ", record to result"
"""What follows the name of a measurement of that part."""

TIMEOUT = 60.0
"""Seconds for the last results, after the last job was due."""

WARM_JOBS = 20
PRODUCED = 200
"""Results that are sent again, one after the other, to measure what a produce takes."""


def measure_latency(
    setting: Setting, saturation: float, loads: Sequence[int], seconds: float, *, pictures: bool
) -> list[Measurement]:
    """Send jobs at even distances, whatever becomes of those before, to one worker.

    The latency of a job ends when its result has been read by a consumer; from record to result it
    ends when the broker has appended the result.

    Args:
        saturation: images per second that the worker manages.
        loads: percent of that.
        seconds: for each.

    Returns:
        Percentiles for each load, twice, and those of one produce of a result.

    Raises:
        DemoError: the worker does not get ready.
        TimeoutError: a result does not come.
    """

    async def measure() -> list[Measurement]:
        topics = await make_topics(setting.bootstrap, append_time=True)
        with run_workers(setting, topics):
            async with _Clients(setting, topics, pictures=pictures) as clients:
                await clients.send([time.perf_counter()] * WARM_JOBS)
                found = []
                for load in loads:
                    rate = saturation * load / 100
                    name = f"worker at {load} %"
                    found += await _at(clients, setting.name, name, rate, seconds)
                took = {"latency_ms": percentiles(sorted(await clients.produce(PRODUCED)))}
                return [*found, Measurement(ONE_PRODUCE, setting.name, pictures, details=took)]

    return asyncio.run(measure())


def measure_bare_program(
    setting: Setting, name: str, backend: str, rate: float, seconds: float, *, pictures: bool
) -> list[Measurement]:
    """Measure as `measure_latency`, with the bare program in the worker's place.

    Args:
        name: of the measurement.
        backend: what computes.
        rate: images per second.

    Returns:
        Percentiles, twice.

    Raises:
        DemoError: the program does not answer; the message has the end of its log.
    """
    work = {
        "model": str(setting.model),
        "backend": backend,
        "threads": available_cores(),
        "pictures": pictures,
    }

    async def measure() -> list[Measurement]:
        topics = await make_topics(setting.bootstrap, append_time=True)
        with bare_program(setting, topics, work) as process:
            async with _Clients(setting, topics, pictures=pictures) as clients:
                try:
                    await clients.send([time.perf_counter()] * WARM_JOBS)
                    return await _at(clients, setting.name, name, rate, seconds)
                except TimeoutError:
                    raise process.failed("did not answer in time") from None

    return asyncio.run(measure())


async def _at(
    clients: _Clients, model: str, name: str, rate: float, seconds: float
) -> list[Measurement]:
    begins = time.perf_counter()
    due = [begins + after for after in due_times(rate, seconds)]
    done, appended = await clients.send(due)
    details = {"at_images_per_second": rate, "samples": len(due)}
    return [
        Measurement(
            each, model, clients.pictures, details=details | {"latency_ms": percentiles(took)}
        )
        for each, took in (
            (name, latencies(due, done)),
            (f"{name}{RECORD_TO_RESULT}", sorted(appended)),
        )
    ]


class _Clients:
    """A producer of jobs and a consumer of their results; an async context manager.

    Attributes:
        pictures: whether results have pictures.
    """

    def __init__(self, setting: Setting, topics: Topics, *, pictures: bool) -> None:
        self.pictures = pictures
        self._topics = topics
        self._messages = job_messages("base64", setting.images, pictures=pictures)
        self._stack = AsyncExitStack()
        self._result: bytes | None = None
        self._producer: AIOKafkaProducer = make_producer(topics.settings(), Settings().publish)
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=topics.bootstrap,
            enable_auto_commit=False,
            max_partition_fetch_bytes=16 * 2**20,
        )

    async def __aenter__(self) -> Self:
        await self._producer.start()
        self._stack.push_async_callback(stop_bounded, self._producer, "producer")
        await self._consumer.start()
        self._stack.push_async_callback(self._consumer.stop)
        partition = TopicPartition(self._topics.results, 0)
        self._consumer.assign([partition])
        self._consumer.seek(partition, 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def send(self, due: Sequence[float]) -> tuple[dict[int, float], list[float]]:
        """Send a job at each of these moments, and read all results.

        Returns:
            When each result was read, by its job's number; and seconds from record to result.
        """
        reading = asyncio.create_task(self._read(len(due)))
        sent = []
        for number, at in enumerate(due):
            await asyncio.sleep(at - time.perf_counter())
            sent.append(await self._send(number))
        jobs = await asyncio.gather(*sent)
        async with asyncio.timeout(TIMEOUT):
            done = await reading
        appended = [(done[number][1] - job.timestamp) / 1000 for number, job in enumerate(jobs)]
        return {number: at for number, (at, _) in done.items()}, appended

    async def produce(self, count: int) -> list[float]:
        """Send the last result again, one at a time, to a topic that nobody reads.

        Returns:
            Seconds until each was acknowledged.
        """
        took = []
        for _ in range(count):
            began = time.perf_counter()
            await self._producer.send_and_wait(self._topics.dead_letters, self._result)
            took.append(time.perf_counter() - began)
        return took

    async def _send(self, number: int) -> asyncio.Future[RecordMetadata]:
        message = self._messages[number % len(self._messages)]
        headers = [header for header in message.headers if header[0] != CORRELATION_ID]
        headers.append((CORRELATION_ID, b"%d" % number))
        sent: asyncio.Future[RecordMetadata] = await self._producer.send(
            self._topics.jobs, message.value, headers=headers
        )
        return sent

    async def _read(self, count: int) -> dict[int, tuple[float, int]]:
        """When each result was read, and by the broker's clock when it was appended, in ms."""
        done: dict[int, tuple[float, int]] = {}
        while len(done) < count:
            polled = await self._consumer.getmany(timeout_ms=1000)
            at = time.perf_counter()
            for record in chain.from_iterable(polled.values()):
                done[int(dict(record.headers)[CORRELATION_ID])] = at, record.timestamp
                self._result = record.value
        return done
