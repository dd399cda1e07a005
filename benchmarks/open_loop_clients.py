"""What sends jobs at even distances, whatever becomes of those before, and reads their results."""

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
from benchmarks.topics import Topics
from worker.bench.latency import due_times, latencies, percentiles
from worker.bench.measurement import Measurement
from worker.kafka.client import make_producer, stop_bounded
from worker.settings import Settings

__all__ = ["RECORD_TO_RESULT", "Clients", "lead_in", "measure_at"]

RECORD_TO_RESULT = ", record to result"
"""What follows the name of a measurement of that part."""

TIMEOUT = 60.0
"""Seconds for the last results, after the last job was due."""

LEAD = 3.0
"""Seconds of jobs before those that count. For that long a program that has just been started takes
longer, whichever it is: the broker, new to its topics and connections, does."""

SAMPLES, LONGEST = 1000, 4
"""Jobs of a measurement, so that its p99 is not one single image's; unless that takes so many times
the seconds that were asked for."""


async def lead_in(clients: Clients, rate: float) -> None:
    """Send jobs that do not count at even distances, until the program and its broker are warm.

    Args:
        rate: images per second.
    """
    await clients.send(_from_now(rate, LEAD))


async def measure_at(
    clients: Clients, model: str, name: str, rate: float, seconds: float
) -> list[Measurement]:
    """Send jobs at even distances to a program that is ready.

    Args:
        name: of the measurement.
        rate: images per second.
        seconds: at least.

    Returns:
        Percentiles from when a job was due until its result was read, and from record to result.
    """
    due = _from_now(rate, max(seconds, min(SAMPLES / rate, LONGEST * seconds)))
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


def _from_now(rate: float, seconds: float) -> list[float]:
    begins = time.perf_counter()
    return [begins + after for after in due_times(rate, seconds)]


class Clients:
    """A producer of jobs and a consumer of their results; an async context manager.

    Args:
        images: encoded; each job has the next one.

    Attributes:
        pictures: whether results have pictures.
    """

    def __init__(self, topics: Topics, images: Sequence[bytes], *, pictures: bool) -> None:
        self.pictures = pictures
        self._topics = topics
        self._messages = job_messages("base64", images, pictures=pictures)
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
        # All programs give a result the key of its job.
        sent: asyncio.Future[RecordMetadata] = await self._producer.send(
            self._topics.jobs, message.value, b"%d" % number, headers=list(message.headers)
        )
        return sent

    async def _read(self, count: int) -> dict[int, tuple[float, int]]:
        """When each result was read, and by the broker's clock when it was appended, in ms."""
        done: dict[int, tuple[float, int]] = {}
        while len(done) < count:
            polled = await self._consumer.getmany(timeout_ms=1000)
            at = time.perf_counter()
            for record in chain.from_iterable(polled.values()):
                done[int(record.key)] = at, record.timestamp
                self._result = record.value
        return done
