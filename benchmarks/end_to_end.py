"""The worker at saturation: jobs that wait in a real topic, results acknowledged in another."""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson
import psutil
import pybase64
from prometheus_client.parser import text_string_to_metric_families

from worker.demo.ports import free_ports
from worker.kafka.client import make_producer, stop_bounded
from worker.kafka.topics import ensure_topics
from worker.settings import Settings

__all__ = ["EndToEnd", "measure"]

START_TIMEOUT = 180.0
POLL = 0.1
WARM_SHARE = 0.15
"""Share of the jobs before and after the measured stretch: filling and draining are left out."""


@dataclass(frozen=True, slots=True)
class EndToEnd:
    """What a worker did between two moments of saturation.

    Attributes:
        rate: images/s, counted by acknowledged results.
        cpu: CPU seconds per image of the worker and its predictor processes.
        jobs: jobs in the measured stretch.
        batch: images per batch, on average.
    """

    rate: float
    cpu: float
    jobs: int
    batch: float


@dataclass(frozen=True, slots=True)
class _Moment:
    at: float
    done: float
    cpu: float
    batches: float
    images: float


def measure(
    model: Path, bootstrap: str, images: Sequence[bytes], jobs: int, *, pictures: bool, log: Path
) -> EndToEnd:
    """Let one worker process `jobs` jobs that are in the topic before it starts.

    Raises:
        RuntimeError: the worker ended, or a job failed.
    """
    names = {name: f"bench-{name}-{uuid.uuid4().hex[:8]}" for name in ("jobs", "results", "dead")}
    settings = Settings.model_validate(
        {
            "kafka": {
                "bootstrap_servers": bootstrap,
                "jobs_topic": names["jobs"],
                "results_topic": names["results"],
                "dead_letters_topic": names["dead"],
                "group_id": names["jobs"],
                "create_topics": True,
            }
        }
    )
    asyncio.run(_produce(settings, images, jobs, pictures=pictures))
    (port,) = free_ports(1)
    environment = {
        "WORKER_MODEL": str(model),
        "WORKER_KAFKA__BOOTSTRAP_SERVERS": bootstrap,
        "WORKER_KAFKA__JOBS_TOPIC": names["jobs"],
        "WORKER_KAFKA__RESULTS_TOPIC": names["results"],
        "WORKER_KAFKA__DEAD_LETTERS_TOPIC": names["dead"],
        "WORKER_KAFKA__GROUP_ID": names["jobs"],
        "WORKER_HTTP__HOST": "127.0.0.1",
        "WORKER_HTTP__PORT": str(port),
    }
    with _worker(environment, log) as process:
        first = _wait_for(process, port, jobs * WARM_SHARE)
        last = _wait_for(process, port, jobs * (1 - WARM_SHARE))
    done = last.done - first.done
    return EndToEnd(
        rate=done / (last.at - first.at),
        cpu=(last.cpu - first.cpu) / done,
        jobs=int(done),
        batch=(last.images - first.images) / max(1.0, last.batches - first.batches),
    )


async def _produce(
    settings: Settings, images: Sequence[bytes], jobs: int, *, pictures: bool
) -> None:
    kafka = settings.kafka
    await ensure_topics(kafka, (kafka.jobs_topic, kafka.results_topic, kafka.dead_letters_topic))
    producer = make_producer(kafka, settings.publish)
    await producer.start()
    try:
        values = [
            orjson.dumps({"image": pybase64.b64encode_as_string(image), "visualize": pictures})
            for image in images
        ]
        sent = [
            await producer.send(kafka.jobs_topic, value)
            for value in itertools.islice(itertools.cycle(values), jobs)
        ]
        await asyncio.gather(*sent)
    finally:
        await stop_bounded(producer, "producer")


@contextmanager
def _worker(environment: dict[str, str], log: Path) -> Iterator[psutil.Process]:
    with log.open("wb") as output:
        process = psutil.Popen(
            [sys.executable, "-m", "worker", "run"],
            env=os.environ | environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait(5)


def _wait_for(process: psutil.Process, port: int, done: float) -> _Moment:
    """The first moment at which at least `done` jobs are acknowledged."""
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
            raise RuntimeError("the worker ended; see its log")
        if (moment := _look(process, port)) is not None and moment.done >= done:
            return moment
        time.sleep(POLL)
    raise RuntimeError(f"{done:.0f} jobs were not done within {START_TIMEOUT:.0f} s")


def _look(process: psutil.Process, port: int) -> _Moment | None:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as response:
            text = response.read().decode()
    except OSError:
        return None  # not listening yet
    at = time.perf_counter()
    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    failures = [key for key in samples if key[0] == "classify_jobs_total" and "failure" in key]
    if failures:
        raise RuntimeError(f"jobs failed: {failures}")
    times = [one.cpu_times() for one in (process, *process.children(recursive=True))]
    return _Moment(
        at,
        samples["classify_latency_seconds_count",],
        sum(one.user + one.system for one in times),
        samples["classify_batch_size_images_count",],
        samples["classify_images_total",],
    )
