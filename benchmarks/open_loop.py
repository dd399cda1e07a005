"""Latency of a worker behind a real broker, at a given load, from when each job was due."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from typing import Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from benchmarks.messages import job_messages
from benchmarks.saturation import Setting, run_workers
from benchmarks.topics import Topics, make_topics
from worker.bench.latency import due_times, latencies, percentiles
from worker.bench.measurement import Measurement
from worker.contract.headers import CORRELATION_ID
from worker.kafka.client import make_producer, stop_bounded
from worker.settings import Settings

__all__ = ["measure_latency"]

TIMEOUT = 60.0
"""Seconds for the last results, after the last job was due."""

WARM_JOBS = 20


def measure_latency(
    setting: Setting, saturation: float, loads: Sequence[int], seconds: float, *, pictures: bool
) -> list[Measurement]:
    """Send jobs at even distances, whatever becomes of those before, to one worker.

    The latency of a job ends when its result has been read by a consumer.

    Args:
        saturation: images per second that the worker manages.
        loads: percent of that.
        seconds: for each.

    Returns:
        Percentiles for each load.

    Raises:
        DemoError: the worker does not get ready.
        TimeoutError: a result does not come.
    """

    async def measure() -> list[Measurement]:
        topics = await make_topics(setting.bootstrap)
        with run_workers(setting, topics):
            async with _Clients(setting, topics, pictures=pictures) as clients:
                await clients.send([time.perf_counter()] * WARM_JOBS)
                return [
                    await _at(clients, setting.name, load, saturation, seconds, pictures=pictures)
                    for load in loads
                ]

    return asyncio.run(measure())


async def _at(
    clients: _Clients, model: str, load: int, saturation: float, seconds: float, *, pictures: bool
) -> Measurement:
    rate = saturation * load / 100
    begins = time.perf_counter()
    due = [begins + after for after in due_times(rate, seconds)]
    done = await clients.send(due)
    details = {
        "at_images_per_second": rate,
        "samples": len(due),
        "latency_ms": percentiles(latencies(due, done)),
    }
    return Measurement(f"worker at {load} %", model, pictures, details=details)


class _Clients:
    """A producer of jobs and a consumer of their results; an async context manager."""

    def __init__(self, setting: Setting, topics: Topics, *, pictures: bool) -> None:
        self._topics = topics
        self._messages = job_messages("base64", setting.images, pictures=pictures)
        self._stack = AsyncExitStack()
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

    async def send(self, due: Sequence[float]) -> dict[int, float]:
        """Send a job at each of these moments, and read all results.

        Returns:
            When each result was read, by its job's number.
        """
        reading = asyncio.create_task(self._read(len(due)))
        sent = []
        for number, at in enumerate(due):
            await asyncio.sleep(at - time.perf_counter())
            sent.append(await self._send(number))
        await asyncio.gather(*sent)
        async with asyncio.timeout(TIMEOUT):
            return await reading

    async def _send(self, number: int) -> asyncio.Future[object]:
        message = self._messages[number % len(self._messages)]
        headers = [header for header in message.headers if header[0] != CORRELATION_ID]
        headers.append((CORRELATION_ID, b"%d" % number))
        sent: asyncio.Future[object] = await self._producer.send(
            self._topics.jobs, message.value, headers=headers
        )
        return sent

    async def _read(self, count: int) -> dict[int, float]:
        done: dict[int, float] = {}
        while len(done) < count:
            polled = await self._consumer.getmany(timeout_ms=1000)
            at = time.perf_counter()
            done |= dict.fromkeys(_numbers(polled.values()), at)
        return done


def _numbers(polled: object) -> Iterator[int]:
    for records in polled:  # type: ignore[attr-defined]  # aiokafka is untyped
        for record in records:
            yield int(dict(record.headers)[CORRELATION_ID])
