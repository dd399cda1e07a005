"""Bare programs behind a real broker: what reading jobs and writing results costs at least.

The transport floor does nothing else. The floors together do as much work beside it as a worker
does, on the same cores at the same time: what each costs alone on an idle machine, no program can
have it for once they share caches, memory and cores.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.bare_work import AHEAD
from benchmarks.idle_loop import IdleLoop
from benchmarks.messages import Way, job_messages
from benchmarks.results import ResultCounter
from benchmarks.saturation import Setting
from benchmarks.stages import StagePlan
from benchmarks.stretch import measure_stretch
from benchmarks.topics import Topics, fill, make_topics
from demo.logged_process import LoggedProcess
from worker.bench.codec import KEPT_MEMORY
from worker.bench.codec_process import LABEL
from worker.bench.limit import TOGETHER, TRANSPORT, Contender
from worker.bench.measurement import Measurement
from worker.bench.table import IDLE_LAG
from worker.images.draw import draw
from worker.images.prepare import prepare
from worker.images.transform import Transform
from worker.inference.placement import available_cores
from worker.model import load_model_spec
from worker.runtime.child_environment import child_environment
from worker.settings import DecodeSettings, PictureSettings

__all__ = ["bare_program", "measure_together", "measure_transport"]

PROGRAM = "benchmarks.transport_process"


def measure_transport(setting: Setting, way: Way, jobs: int, *, pictures: bool) -> Measurement:
    """Let a bare aiokafka program answer jobs that wait for it, in a process of its own.

    Args:
        jobs: how many.
        pictures: whether results are as long as they are with a picture.

    Returns:
        Acknowledged results per second; CPU time per image of its process.

    Raises:
        DemoError: it does not do them in time; the message has the end of its log.
    """
    work = {"picture": _picture(setting, pictures=pictures)}
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
    stages = StagePlan(
        model=str(setting.model),
        images=tuple(map(str, files)),
        pictures=pictures,
        backend=contender.backend,
        codecs=available_cores(),
        predictors=contender.layout.processes,
        threads=contender.layout.threads,
        batch=contender.batch,
    )
    work = {"picture": _picture(setting, pictures=pictures), "stages": stages.as_json()}
    measured = _measure(setting, f"{TOGETHER} {way}", way, jobs, work, pictures=pictures)
    return replace(measured, details={**measured.details, **contender.details()})


def bare_program(setting: Setting, topics: Topics, work: Mapping[str, object]) -> LoggedProcess:
    """Make the program that does jobs of these topics; a context manager.

    Args:
        work: what it does; see `bare_work.make_work`.

    Returns:
        Its process, not started.
    """
    arguments = [topics.bootstrap, topics.jobs, topics.results, topics.group, json.dumps(work)]
    threads = {"OMP_NUM_THREADS": str(work.get("threads", 1))}
    return LoggedProcess(
        "the bare program",
        [sys.executable, "-m", PROGRAM, *arguments],
        child_environment(None, **{**KEPT_MEMORY, **threads}),
        setting.logs / f"{topics.group}.log",
    )


def _measure(
    setting: Setting,
    name: str,
    way: Way,
    jobs: int,
    work: Mapping[str, object],
    *,
    pictures: bool,
) -> Measurement:
    messages = job_messages(way, setting.images, pictures=pictures, base=setting.base)

    async def measure() -> Measurement:
        topics = await make_topics(setting.bootstrap)
        # More than are measured: the last ones taken in are not answered.
        await fill(topics, messages, jobs + 2 * AHEAD)
        with IdleLoop() as idle, bare_program(setting, topics, work) as process:
            async with ResultCounter(topics) as counter:
                try:
                    stretch = await measure_stretch(counter, [process.pid], jobs, idle.look)
                except TimeoutError:
                    raise process.failed("did not do its jobs in time") from None
        details = {
            "jobs": stretch.images,
            "ms_cpu_by_kind": stretch.ms_cpu_by_kind,
            "peak_mb": stretch.peak_mb,
            IDLE_LAG: idle.longest_ms,
        }
        rate, cpu = stretch.images_per_second, stretch.ms_cpu_per_image
        return Measurement(name, setting.name, pictures, rate, cpu, details)

    return asyncio.run(measure())


def _picture(setting: Setting, *, pictures: bool) -> int:
    """How many bytes a picture has, as codecs make them."""
    if not pictures:
        return 0
    spec = load_model_spec(setting.model)
    transform, settings = Transform(spec.resize, spec.crop, spec.channels), PictureSettings()
    sizes = []
    for image in setting.images:
        picture = prepare(image, transform, DecodeSettings(), settings.max_side).picture
        assert picture is not None
        sizes.append(len(draw(picture, LABEL, 0.5, settings.quality)))
    return sum(sizes) // len(sizes)
