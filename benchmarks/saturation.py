"""Workers at saturation: jobs that wait in a real topic, results acknowledged in another."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from benchmarks.idle_loop import idle_loop
from benchmarks.messages import Way, job_messages
from benchmarks.results import ResultCounter
from benchmarks.stretch import measure_stretch
from benchmarks.topics import Topics, fill, make_topics
from demo.worker_process import WorkerProcess
from worker.bench.idle_loop_process import LAG
from worker.bench.measurement import Measurement
from worker.bench.stages import Stages, stage_milliseconds
from worker.bench.table import IDLE_LAG, LOOP_LAG

__all__ = ["Setting", "run_workers", "saturate"]

READY_TIMEOUT = 180.0
LOOPBACK = {"WORKER_FETCH__ALLOW_NETWORKS": "127.0.0.0/8"}


@dataclass(frozen=True, slots=True)
class Setting:
    """What all measurements of a run with one model have in common.

    Attributes:
        model: its directory.
        name: the model's, in reports.
        bootstrap: the broker's address.
        images: encoded, each job has the next one.
        base: the address of the server that has them too.
        logs: a directory for the workers' logs.
    """

    model: Path
    name: str
    bootstrap: str
    images: Sequence[bytes]
    base: str
    logs: Path


@contextmanager
def run_workers(
    setting: Setting, topics: Topics, count: int = 1, environ: Mapping[str, str] | None = None
) -> Iterator[list[WorkerProcess]]:
    """Start workers of one group; they are ready when the block begins.

    Args:
        environ: more settings.

    Yields:
        The workers.

    Raises:
        DemoError: one does not get ready; the message has the end of its log.
    """
    environment = {"WORKER_MODEL": str(setting.model), **topics.environment(), **LOOPBACK}
    with ExitStack() as stack:
        workers = [
            stack.enter_context(
                WorkerProcess(
                    {**environment, **(environ or {})},
                    setting.logs / f"{topics.group}-{number}.log",
                )
            )
            for number in range(count)
        ]
        for worker in workers:
            worker.wait_until_ready(READY_TIMEOUT)
        yield workers


def saturate(
    setting: Setting,
    name: str,
    way: Way,
    jobs: int,
    *,
    pictures: bool,
    replicas: int = 1,
    partitions: int = 1,
    environ: Mapping[str, str] | None = None,
) -> Measurement:
    """Let workers do jobs that wait for them.

    Args:
        jobs: how many.
        replicas: workers of one group, which share the partitions.
        environ: more settings of the workers.

    Returns:
        Acknowledged results per second; CPU time per image of the workers and all their processes.

    Raises:
        DemoError: a worker does not get ready.
        RuntimeError: a job failed.
        TimeoutError: the jobs are not done in time.
    """
    messages = job_messages(way, setting.images, pictures=pictures, base=setting.base)

    async def measure() -> Measurement:
        topics = await make_topics(setting.bootstrap, partitions)
        alone = replicas == 1
        if alone:
            await fill(topics, messages, jobs)
        # Several get their partitions first: else the first one would do most of the work.
        began = time.perf_counter()
        with idle_loop() as idle, run_workers(setting, topics, replicas, environ) as workers:
            async with ResultCounter(topics) as counter:
                filling = asyncio.create_task(fill(topics, messages, 0 if alone else jobs))
                ready = time.perf_counter() - began
                before: list[Stages] = []
                waited: dict[str, float] = {}
                delays: dict[str, float] = {}

                def at_edge() -> None:
                    families = list(text_string_to_metric_families(workers[0].metrics()))
                    # Where the stretch begins, the last seconds are the worker's start.
                    (lag,) = (each.samples[0].value for each in families if each.name == LAG)
                    delays[LOOP_LAG] = lag * 1000
                    delays[IDLE_LAG] = idle.longest_delay() * 1000
                    if before:
                        waited.update(before[0].until(families))
                    before.append(stage_milliseconds(families))

                pids = [worker.pid for worker in workers]
                stretch = await measure_stretch(counter, pids, jobs, at_edge)
                await filling
                await counter.check_last()
        details = {
            "way": way,
            "jobs": stretch.images,
            "ms_cpu_by_kind": stretch.ms_cpu_by_kind,
            "peak_mb": stretch.peak_mb,
            "stages_ms": waited,
            "seconds_to_ready": ready,
            **delays,
        }
        rate, cpu = stretch.images_per_second, stretch.ms_cpu_per_image
        return Measurement(name, setting.name, pictures, rate, cpu, details)

    return asyncio.run(measure())
