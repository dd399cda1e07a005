"""The worker at saturation: jobs that wait in a real topic, results acknowledged in another."""

from __future__ import annotations

import asyncio
import itertools
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
from prometheus_client.parser import text_string_to_metric_families

from demo.worker_process import WorkerProcess
from worker.contract.job_messages import JobEnvelope
from worker.kafka.client import make_producer, stop_bounded
from worker.kafka.topics import ensure_topics
from worker.settings import Settings

__all__ = ["EndToEnd", "measure"]

TIMEOUT = 300.0
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
    model: Path,
    bootstrap: str,
    images: Sequence[bytes],
    jobs: int,
    *,
    pictures: bool,
    log: Path,
    environ: Mapping[str, str] | None = None,
) -> EndToEnd:
    """Let one worker process `jobs` jobs that are in the topic before it starts.

    Args:
        environ: more settings of the worker.

    Raises:
        DemoError: the worker did not start, or a job failed.
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
    environment = {
        "WORKER_MODEL": str(model),
        "WORKER_KAFKA__BOOTSTRAP_SERVERS": bootstrap,
        "WORKER_KAFKA__JOBS_TOPIC": names["jobs"],
        "WORKER_KAFKA__RESULTS_TOPIC": names["results"],
        "WORKER_KAFKA__DEAD_LETTERS_TOPIC": names["dead"],
        "WORKER_KAFKA__GROUP_ID": names["jobs"],
        **(environ or {}),
    }
    with WorkerProcess(environment, log) as worker:
        worker.wait_until_ready(TIMEOUT)
        first = _wait_for(worker, jobs * WARM_SHARE)
        last = _wait_for(worker, jobs * (1 - WARM_SHARE))
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
        envelope = JobEnvelope("bench", "bench", visualize=pictures)
        messages = [envelope.with_base64(image) for image in images]
        sent = [
            await producer.send(
                kafka.jobs_topic, message.value, message.key, headers=list(message.headers)
            )
            for message in itertools.islice(itertools.cycle(messages), jobs)
        ]
        await asyncio.gather(*sent)
    finally:
        await stop_bounded(producer, "producer")


def _wait_for(worker: WorkerProcess, done: float) -> _Moment:
    """The first moment at which at least `done` jobs are acknowledged."""
    deadline = time.monotonic() + TIMEOUT
    while (moment := _look(worker)).done < done:
        if time.monotonic() > deadline:
            raise worker.failed(f"did not do {done:.0f} jobs within {TIMEOUT:.0f} s")
        time.sleep(POLL)
    return moment


def _look(worker: WorkerProcess) -> _Moment:
    text, at = worker.metrics(), time.perf_counter()
    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    failures = [
        key
        for key, count in samples.items()
        if key[0] == "classify_jobs_total" and "failure" in key and count
    ]
    if failures:
        raise worker.failed(f"failed jobs: {failures}")
    process = psutil.Process(worker.pid)
    times = [one.cpu_times() for one in (process, *process.children(recursive=True))]
    return _Moment(
        at,
        samples["classify_latency_seconds_count",],
        sum(one.user + one.system for one in times),
        samples["classify_batch_size_images_count",],
        samples["classify_images_total",],
    )
