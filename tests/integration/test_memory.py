"""Memory stays where it is, however many jobs pass through."""

from __future__ import annotations

import asyncio
import statistics

import psutil

from tests.integration.conftest import MakeWorker
from tests.integration.harness import Traffic, Worker
from tests.integration.images import colour_png, job, noise_jpeg
from tests.integration.stands import ImageServer
from worker.demo.broker import KafkaBroker

JOBS = 5000
CHUNK = 500
MiB = 1024 * 1024

WORKER_GROWTH = 4 * MiB
"""A leak of 1.5 KiB a job, half of one crop, exceeds it in the 3,000 jobs between the samples."""

PREDICTOR_GROWTH = 16 * MiB
"""oneDNN makes kernels anew when the batch size changes: 10 MiB up and down at any time."""


async def test_memory_is_flat_over_5000_jobs(
    broker: KafkaBroker, make_worker: MakeWorker, traffic: Traffic
) -> None:
    await traffic.create_topics(partitions=2)
    worker = make_worker(
        broker.bootstrap_servers,
        traffic.names,
        WORKER_FETCH__ALLOW_NETWORKS="127.0.0.1/32",
        WORKER_INTAKE__MAX_JOBS="64",
    ).start()
    async with ImageServer({"/image": noise_jpeg(1)}) as server:
        await asyncio.to_thread(worker.wait_until_ready)
        (predictor,) = worker.predictors()
        mix = _mix(server)
        samples: list[tuple[int, int]] = []
        for passed in range(CHUNK, JOBS + 1, CHUNK):
            await traffic.send_all(mix * (CHUNK // len(mix)))
            await asyncio.to_thread(_wait_until_ended, worker, passed)
            samples.append((_resident(worker.pid), _resident(predictor)))
    assert worker.predictors() == [predictor]
    assert worker.value("classify_jobs_total", outcome="failure") == JOBS / len(mix)
    # The first 1,000 jobs fill caches and the allocator's pools.
    early, late = samples[1:4], samples[-3:]
    growths = [
        statistics.median(after) - statistics.median(before)
        for before, after in zip(zip(*early, strict=True), zip(*late, strict=True), strict=True)
    ]
    assert growths[0] < WORKER_GROWTH, samples
    assert growths[1] < PREDICTOR_GROWTH, samples


def _mix(server: ImageServer) -> list[bytes]:
    """Every way through the worker: with picture and without, by URL, and one that fails."""
    return [
        job(noise_jpeg(0)),
        job(noise_jpeg(1), visualize=False),
        job(colour_png("#123456"), visualize=False),
        job(server.url("/image"), visualize=False),
        job(noise_jpeg(2)[:500]),
    ]


def _wait_until_ended(worker: Worker, jobs: int) -> None:
    worker.wait_for_value("classify_jobs_total", lambda ended: ended == jobs)


def _resident(pid: int) -> int:
    """Bytes of memory that a process holds."""
    held: int = psutil.Process(pid).memory_info().rss
    return held
