"""How the cost of an image grows: with its size, topK, batches, partitions, and jobs that wait."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.images import make_images
from benchmarks.messages import job_messages
from benchmarks.results import ResultCounter
from benchmarks.saturation import Setting, run_workers, saturate
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
TIMEOUT = 600.0
WARM_JOBS = 50

LARGE = 4_000_000
"""Pixels above which a tenth of the jobs will do."""


def grow(setting: Setting, jobs: int, say: Callable[[str], object]) -> Iterator[Measurement]:
    """Measure CPU time per image, one thing grown at a time; raw bytes, no pictures.

    Args:
        jobs: of each measurement.
        say: called with what is being measured.

    Yields:
        Measurements named `growth WHAT VALUE`.
    """
    ordinary = _messages(setting.images)
    yield from _one_worker(setting, _plans(setting, jobs), say)
    for batch in BATCHES:
        environ = {"WORKER_BATCHING__MAX_BATCH": str(batch)}
        plan = _Plan(f"batch {batch}", ordinary, jobs, jobs)
        yield from _one_worker(setting, [plan], say, environ=environ)
    for count in PARTITIONS:
        name = f"growth partitions {count}"
        say(f"growth, partitions {count}")
        # Full before the worker starts: to fill many takes several times the broker's cores.
        yield saturate(setting, name, "raw", jobs, pictures=False, partitions=count)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What one measurement does: `jobs` jobs, `at` of them waiting at a time."""

    name: str
    messages: Sequence[Message]
    jobs: int
    at: int


def _plans(setting: Setting, jobs: int) -> Iterator[_Plan]:
    """What one worker can do with one topic, one thing after another."""
    ordinary = _messages(setting.images)
    for width, height in SIDES:
        files = make_images(setting.logs, width, height)
        images = [path.read_bytes() for path in files]
        some = max(10, jobs // 10) if width * height > LARGE else jobs
        yield _Plan(f"side {width}x{height}", _messages(images), some, some)
    for count in TOP_K:
        messages = job_messages("raw", setting.images, pictures=False, top_k=count)
        yield _Plan(f"topK {count}", messages, jobs, jobs)
    for waiting in WAITING:
        yield _Plan(f"waiting {waiting}", ordinary, max(jobs, waiting), waiting)


def _one_worker(
    setting: Setting,
    plans: Iterable[_Plan],
    say: Callable[[str], object],
    *,
    environ: Mapping[str, str] | None = None,
) -> Iterator[Measurement]:
    """Start a worker, and measure one plan after another, each as soon as it is done."""
    with asyncio.Runner() as runner:
        topics = runner.run(make_topics(setting.bootstrap))
        with run_workers(setting, topics, environ=environ) as (worker,):
            warming = _Plan("warming up", _messages(setting.images), WARM_JOBS, WARM_JOBS)
            runner.run(_rounds(topics, worker.pid, warming))
            for plan in plans:
                say(f"growth, {plan.name}")
                rate, megabytes, cpu = runner.run(_rounds(topics, worker.pid, plan))
                details = {"ms_cpu_by_kind": cpu, "peak_mb": megabytes}
                name = f"growth {plan.name}"
                yield Measurement(name, setting.name, False, rate, sum(cpu.values()), details)


async def _rounds(topics: Topics, pid: int, plan: _Plan) -> tuple[float, float, dict[str, float]]:
    """Have the jobs of a plan done: images/s, MB, and CPU ms per image by kind."""
    async with ResultCounter(topics) as counter:
        first = done = await counter.count()
        before, began, peak = look(pid), time.perf_counter(), 0
        while done - first < plan.jobs:
            await fill(topics, plan.messages, plan.at)
            done, _ = await counter.wait_for(done + plan.at, TIMEOUT)
            peak = max(peak, look(pid).memory)
        took, after, images = time.perf_counter() - began, look(pid), done - first
        await counter.check_last()
    cpu = {kind: used * 1000 / images for kind, used in spent(before, after).items()}
    return images / took, peak / 1e6, cpu


def _messages(images: Sequence[bytes]) -> list[Message]:
    return job_messages("raw", images, pictures=False)
