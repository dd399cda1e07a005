"""Memory stays where it is, however many jobs pass through."""

from __future__ import annotations

import asyncio

import psutil

from tests.integration.conftest import MakeWorker
from tests.integration.harness import Traffic, Worker
from tests.integration.images import colour_png, job, noise_jpeg
from tests.integration.stands import ImageServer
from worker.demo.broker import KafkaBroker

WARM_UP = 1000
JOBS = 5000
GROWTH = 12 * 1024 * 1024
"""Bytes. A leak of 3 KB a job, a tenth of what one holds, would exceed it over 4,000 jobs."""


async def test_memory_is_flat_over_5000_jobs(
    broker: KafkaBroker, make_worker: MakeWorker, traffic: Traffic
) -> None:
    await traffic.create_topics(partitions=2)
    worker = make_worker(
        broker.bootstrap_servers,
        traffic.names,
        WORKER_FETCH__ALLOW_NETWORKS="127.0.0.1/32",
        WORKER_BATCHING__MAX_BATCH="32",
        WORKER_INTAKE__MAX_JOBS="64",
    ).start()
    async with ImageServer({"/image": noise_jpeg(1)}) as server:
        await asyncio.to_thread(worker.wait_until_ready)
        mix = _mix(server)
        await _pass_through(traffic, worker, mix, WARM_UP)
        before = _resident(worker)
        await _pass_through(traffic, worker, mix, JOBS - WARM_UP)
        after = _resident(worker)
    assert worker.value("classify_jobs_total") == JOBS
    assert worker.value("classify_jobs_total", outcome="failure") == JOBS / 5
    assert after - before < GROWTH, f"{before} bytes became {after}"


def _mix(server: ImageServer) -> list[bytes]:
    """Every way through the worker: with picture and without, by URL, and two that fail."""
    return [
        job(noise_jpeg(0)),
        job(noise_jpeg(1), visualize=False),
        job(colour_png("#123456"), visualize=False),
        job(server.url("/image"), visualize=False),
        job(noise_jpeg(2)[:500]),
    ]


async def _pass_through(traffic: Traffic, worker: Worker, mix: list[bytes], count: int) -> None:
    done = worker.value("classify_jobs_total")
    for _ in range(0, count, 500):
        await traffic.send_all(mix * (500 // len(mix)))
    await asyncio.to_thread(
        worker.wait_for_value, "classify_jobs_total", lambda now: now >= done + count, 240.0
    )


def _resident(worker: Worker) -> int:
    """Bytes of memory of the worker and its predictors."""
    processes = [psutil.Process(pid) for pid in (worker.pid, *worker.predictors())]
    return sum(process.memory_info().rss for process in processes)
