"""Bare programs behind a real broker: what reading jobs and writing results costs at least.

To read a job is to have its image, too: that of a URL is fetched, from a server on loopback.

The transport floor does nothing else. The floors together do as much work beside it as a worker
does, on the same cores at the same time: what each costs alone on an idle machine, no program can
have it for once they share caches, memory and cores.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.bare_program import BareProgram, no_work, work_together
from benchmarks.bare_work import AHEAD, ahead_of
from benchmarks.idle_loop import idle_loop
from benchmarks.messages import Way, job_messages
from benchmarks.results import ResultCounter
from benchmarks.saturation import Setting
from benchmarks.stretch import measure_stretch
from benchmarks.topics import fill, make_topics
from worker.bench.limit import TOGETHER, TRANSPORT, Contender
from worker.bench.measurement import Measurement
from worker.bench.table import IDLE_LAG, LOOP_LAG

__all__ = ["measure_together", "measure_transport"]


def measure_transport(
    setting: Setting, files: Sequence[Path], way: Way, jobs: int, *, pictures: bool
) -> Measurement:
    """Let a bare aiokafka program answer jobs that wait for it, in a process of its own.

    Args:
        files: of the images.
        jobs: how many.
        pictures: whether results are as long as they are with a picture.

    Returns:
        Acknowledged results per second; CPU time per image of its process.

    Raises:
        DemoError: it does not do them in time; the message has the end of its log.
    """
    work = no_work(setting.model, files, pictures=pictures)
    return _measure(setting, f"{TRANSPORT} {way}", way, jobs, work, pictures=pictures)


def measure_together(
    setting: Setting,
    files: Sequence[Path],
    contender: Contender,
    way: Way,
    jobs: int,
    *,
    pictures: bool,
) -> Measurement:
    """Measure as `measure_transport`, beside as many codecs and predictors as a worker has.

    Each image passes all three, which are coupled by counting alone: no image is handed over.

    Args:
        files: of the images, for the codecs.
        contender: what the predictors compute with.

    Returns:
        Acknowledged results per second; CPU time per image of all processes.

    Raises:
        DemoError: they do not do the jobs in time.
    """
    work = work_together(setting.model, files, contender, pictures=pictures)
    name, ahead = f"{TOGETHER} {way}", ahead_of(contender.layout.processes, contender.batch)
    measured = _measure(setting, name, way, jobs, work, pictures=pictures, ahead=ahead)
    return replace(measured, details={**measured.details, **contender.details()})


def _measure(
    setting: Setting,
    name: str,
    way: Way,
    jobs: int,
    work: Mapping[str, object],
    *,
    pictures: bool,
    ahead: int = AHEAD,
) -> Measurement:
    messages = job_messages(way, setting.images, pictures=pictures, base=setting.base)

    async def measure() -> Measurement:
        topics = await make_topics(setting.bootstrap)
        # More than are measured: the last ones taken in are not answered.
        await fill(topics, messages, jobs + 2 * ahead)
        with idle_loop() as idle, BareProgram(topics, work, setting.logs) as process:
            async with ResultCounter(topics) as counter:
                try:
                    stretch = await measure_stretch(counter, [process.pid], jobs)
                except TimeoutError:
                    raise process.failed("did not do its jobs in time") from None
                own, machines = process.longest_delay(), idle.longest_delay()
        details = {
            "jobs": stretch.images,
            "ms_cpu_by_kind": stretch.ms_cpu_by_kind,
            "peak_mb": stretch.peak_mb,
            LOOP_LAG: own * 1000,
            IDLE_LAG: machines * 1000,
        }
        rate, cpu = stretch.images_per_second, stretch.ms_cpu_per_image
        return Measurement(name, setting.name, pictures, rate, cpu, details)

    return asyncio.run(measure())
