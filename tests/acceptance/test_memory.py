"""Memory stays where it is, however many jobs pass through."""

from __future__ import annotations

import asyncio
import statistics
import threading
from typing import Self

import psutil
import pytest

from demo.broker import KafkaBroker
from tests.support.allocator import GIVES_BACK
from tests.support.batches import send_batch
from tests.support.harness import Traffic, Worker
from tests.support.images import colour_png, job, noise_jpeg
from tests.support.loopback import HeldImage, ImageServer
from tests.support.workers import PATIENT, MakeWorker

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


@pytest.mark.parametrize("compression", ["gzip", "zstd", "lz4"])
async def test_batches_that_inflate_without_end_are_answered_in_bounded_memory(
    broker: KafkaBroker,
    make_worker: MakeWorker,
    traffic: Traffic,
    compression: str,
) -> None:
    """Two such batches, and good jobs behind them; nothing of them is held afterwards."""
    records = 40
    await traffic.create_topics()
    worker = make_worker(
        broker.bootstrap_servers,
        traffic.names,
        WORKER_INTAKE__MAX_BYTES=str(32 * MiB),
        **GIVES_BACK,
    ).start()
    await asyncio.to_thread(worker.wait_until_ready)
    warm = await traffic.send_all([job(noise_jpeg(0), visualize=False)] * 20)
    await traffic.results(warm)
    before = _resident(worker.pid)
    bomb = [(b"k", bytes(10_000_000), [("job-id", b"b")])] * records
    where = broker.bootstrap_servers, traffic.names.jobs, 0
    bombs = await send_batch(*where, bomb, compression)
    bombs += await send_batch(*where, bomb, compression)
    good = await traffic.send(job(noise_jpeg(1), visualize=False))
    with _Peak(worker.pid) as peak:
        results = await traffic.results([*bombs, good])
    assert results[good][0].body["errorCode"] == 0
    assert {answer.body["errorCode"] for i in bombs for answer in results[i]} == {400}
    letters = await traffic.letters(bombs)
    reasons = [letters[i][0].header("dead-letter-reason") for i in bombs[:records]]
    # What fits is judged by itself: its zeros are no JSON.
    assert reasons == ["not_json"] * 6 + ["unreadable"] * (records - 6)
    await traffic.wait_until_committed({0: len(warm) + len(bombs) + 1})
    assert worker.value("classify_fetched_bytes") == 0
    assert worker.value("classify_buffered_bytes") == 0
    # Four such records and what goes on with them, not the 400 MB that a batch inflates to.
    assert peak.highest - before < 200 * MiB
    held = _resident(worker.pid) - before
    # Less than one such record.
    assert held < 8 * MiB, (held, peak.highest - before)


async def test_what_is_fetched_ahead_is_bounded_over_all_partitions(
    broker: KafkaBroker, make_worker: MakeWorker, traffic: Traffic
) -> None:
    """20 partitions with 4 MB each, none of which is taken in; then all are, and none is held."""
    partitions, ahead = 20, 4 * MiB
    await traffic.create_topics(partitions=partitions)
    worker = make_worker(
        broker.bootstrap_servers,
        traffic.names,
        **PATIENT,
        WORKER_INTAKE__MAX_JOBS="1",
        WORKER_KAFKA__FETCH_MAX_BYTES=str(ahead),
    )
    async with HeldImage(noise_jpeg(0)) as held:
        value = job(held.held_url, visualize=False) + b" " * 500_000
        ids = [
            each
            for partition in range(partitions)
            for each in await traffic.send_all([value] * 8, partition=partition)
        ]
        worker.start()
        await asyncio.to_thread(worker.wait_until_ready)
        await held.asked.wait()
        fetched = "classify_fetched_bytes"
        seen = [worker.value(fetched) for _ in range(20)]
        # One batch may be larger than the room that was left.
        assert max(seen) < ahead + 1_100_000
        held.release.set()
        results = await traffic.results(ids)
        assert {len(answers) for answers in results.values()} == {1}
        await asyncio.to_thread(worker.wait_for_value, fetched, lambda n: n == 0)


class _Peak:
    """The most memory that a process holds while the context lasts, as far as samples show it."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.highest = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.01):
            self.highest = max(self.highest, _resident(self._pid))


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
