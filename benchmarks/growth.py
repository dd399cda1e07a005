"""How the cost of an image grows: with its size, topK, batches, partitions, and jobs that wait."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.images import make_images
from benchmarks.messages import job_messages
from benchmarks.results import ResultCounter
from benchmarks.saturation import Setting, run_workers
from benchmarks.topics import Topics, fill, make_topics
from worker.bench.measurement import Measurement
from worker.bench.process_tree import look, spent
from worker.contract.records import Message

__all__ = ["grow"]

SIDES = ((64, 64), (640, 480), (1920, 1440), (6000, 4000))
"""Pixels; the last one is 24 MP."""

TOP_K = (1, 5, 1000)
BATCHES = (1, 8, 32)
PARTITIONS = (1, 8, 128)
WAITING = (10, 100, 1000, 10_000)
TIMEOUT = 300.0

LARGE = 4_000_000
"""Pixels above which a tenth of the jobs will do."""


async def _rounds(
    topics: Topics,
    counter: ResultCounter,
    pid: int,
    messages: Sequence[Message],
    jobs: int,
    at: int,
) -> tuple[float, float, dict[str, float]]:
    """Have `jobs` jobs done, `at` waiting at a time: images/s, MB, and CPU ms by kind."""
    done, before, began, peak = await counter.count(), look(pid), _now(), 0
    first = done
    while done - first < jobs:
        await fill(topics, messages, min(at, jobs))
        done, _ = await counter.wait_for(done + min(at, jobs), TIMEOUT)
        peak = max(peak, look(pid).memory)
    after, images = look(pid), done - first
    cpu = {kind: used * 1000 / images for kind, used in spent(before, after).items()}
    return images / (_now() - began), peak / 1e6, cpu


def _now() -> float:
    return asyncio.get_running_loop().time()


def grow(setting: Setting, jobs: int) -> Iterator[Measurement]:
    """Measure CPU time per image, one thing grown at a time; raw bytes, no pictures.

    Args:
        jobs: of each measurement.

    Yields:
        Measurements named `growth WHAT VALUE`.
    """
    yield from asyncio.run(_jobs(setting, jobs))
    for batch in BATCHES:
        yield from asyncio.run(
            _worker(setting, jobs, f"batch {batch}", 1, {"WORKER_BATCHING__MAX_BATCH": f"{batch}"})
        )
    for partitions in PARTITIONS:
        yield from asyncio.run(_worker(setting, jobs, f"partitions {partitions}", partitions, {}))


async def _jobs(setting: Setting, jobs: int) -> list[Measurement]:
    """One worker, which gets one kind of job after another."""
    topics = await make_topics(setting.bootstrap)
    plans: list[tuple[str, list[Message], int, int]] = []
    for width, height in SIDES:
        files = make_images(Path(setting.logs), width, height)
        images = [path.read_bytes() for path in files]
        some = jobs // 10 if width * height > LARGE else jobs
        plans.append((f"side {width}x{height}", _messages(images), max(10, some), some))
    ordinary = _messages(setting.images)
    for count in TOP_K:
        messages = job_messages("raw", setting.images, pictures=False, top_k=count)
        plans.append((f"topK {count}", messages, jobs, jobs))
    plans += [(f"waiting {some}", ordinary, max(jobs, some), some) for some in WAITING]
    found = []
    with run_workers(setting, topics) as (worker,):
        async with ResultCounter(topics) as counter:
            await _rounds(topics, counter, worker.pid, _messages(setting.images), jobs, jobs)
            for name, messages, count, at in plans:
                made = await _rounds(topics, counter, worker.pid, messages, count, at)
                found.append(_measurement(setting, name, made))
            await counter.check_last()
    return found


async def _worker(
    setting: Setting, jobs: int, name: str, partitions: int, environ: Mapping[str, str]
) -> list[Measurement]:
    topics = await make_topics(setting.bootstrap, partitions)
    with run_workers(setting, topics, environ=environ) as (worker,):
        async with ResultCounter(topics) as counter:
            messages = _messages(setting.images)
            await _rounds(topics, counter, worker.pid, messages, jobs, jobs)
            made = await _rounds(topics, counter, worker.pid, messages, jobs, jobs)
            await counter.check_last()
    return [_measurement(setting, name, made)]


def _messages(images: Sequence[bytes]) -> list[Message]:
    return job_messages("raw", images, pictures=False)


def _measurement(
    setting: Setting, name: str, made: tuple[float, float, dict[str, float]]
) -> Measurement:
    rate, megabytes, cpu = made
    details = {"ms_cpu_by_kind": cpu, "peak_mb": megabytes}
    return Measurement(f"growth {name}", setting.name, False, rate, sum(cpu.values()), details)
