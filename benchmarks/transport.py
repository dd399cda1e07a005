"""The transport floor: what reading jobs from Kafka and writing results costs, and nothing else."""

from __future__ import annotations

import asyncio
import sys

from benchmarks.messages import Way, job_messages
from benchmarks.results import ResultCounter
from benchmarks.saturation import Setting
from benchmarks.stretch import measure_stretch
from benchmarks.topics import fill, make_topics
from demo.logged_process import LoggedProcess
from worker.bench.limit import TRANSPORT
from worker.bench.measurement import Measurement
from worker.runtime.child_environment import child_environment

__all__ = ["measure_transport"]

PROGRAM = "benchmarks.transport_process"


def measure_transport(setting: Setting, way: Way, jobs: int, *, pictures: bool) -> Measurement:
    """Let a bare aiokafka program answer jobs that wait for it, in a process of its own.

    Args:
        jobs: how many.
        pictures: whether results are as long as they are with a picture, which is taken to have as
            many bytes as an image.

    Returns:
        Acknowledged results per second; CPU time per image of its process.

    Raises:
        DemoError: it does not do them in time; the message has the end of its log.
    """
    messages = job_messages(way, setting.images, pictures=pictures, base=setting.base)
    size = sum(map(len, setting.images)) // len(setting.images) if pictures else 0

    async def measure() -> Measurement:
        topics = await make_topics(setting.bootstrap)
        await fill(topics, messages, jobs)
        arguments = [topics.bootstrap, topics.jobs, topics.results, topics.group, str(size)]
        with LoggedProcess(
            "the bare transport",
            [sys.executable, "-m", PROGRAM, *arguments],
            child_environment(),
            setting.logs / f"{topics.group}.log",
        ) as process:
            async with ResultCounter(topics) as counter:
                try:
                    stretch = await measure_stretch(counter, [process.pid], jobs)
                except TimeoutError:
                    raise process.failed("did not do its jobs in time") from None
        rate, cpu = stretch.images_per_second, stretch.ms_cpu_per_image
        return Measurement(f"{TRANSPORT} {way}", setting.name, pictures, rate, cpu)

    return asyncio.run(measure())
