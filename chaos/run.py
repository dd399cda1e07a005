"""A run from beginning to end: everything is started, disturbed, stopped and read back here."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from chaos.conductor import Conductor
from chaos.environment import Environment
from chaos.fleet import Fleet
from chaos.full_cache import full_cache
from chaos.history import History, Sample
from chaos.image_host import ImageHost
from chaos.jobs import Draft, make_drafts, make_image
from chaos.options import Options
from chaos.proxy import Proxy
from chaos.reading import read_history
from chaos.resources import take_sample
from chaos.schedule import FIRST_SHARE, make_schedule
from chaos.settings import worker_environment
from chaos.topics import Topics
from chaos.traffic import Traffic
from demo.cluster import KafkaCluster
from demo.jars import fetch_jars
from demo.model import prepare_model
from demo.ports import free_ports
from demo.quick_model import make_quick
from worker.cache import cache_directory

__all__ = ["Run", "run"]

PARTITIONS = 4
STALLED_SECONDS = 120.0
"""Without another job done for so long, after all faults, the run is over: something is lost."""

BACKLOG = 800
"""Most jobs that are sent and not answered yet; fewer in a short run, so that faults come between
sending and answering there too."""

SETTLE_SECONDS = 2.0
SAMPLES = 5
SAMPLE_SECONDS = 0.3


@dataclass(slots=True)
class Run:
    """What a run gives.

    Attributes:
        seconds: from the first job to the last outcome.
        counts: of the faults that happened, by kind.
        nothing: of the faults that had nothing to act on, by kind.
        unavailable: how often a worker ended since it could not use Kafka.
        cache: in words, the cache that cannot be written.
    """

    history: History
    seconds: float
    counts: Counter[str] = field(default_factory=Counter)
    nothing: Counter[str] = field(default_factory=Counter)
    unavailable: int = 0
    cache: str = ""


Report = Callable[[str, int, int], None]
"""Called with what is going on, the jobs that are done and the faults that happened."""


async def run(options: Options, directory: Path, report: Report) -> Run:
    """Run it.

    Args:
        directory: for the logs of workers; it exists.

    Raises:
        WorkerError: something could not be fetched, started, reached or read.
        TimeoutError: it took longer than it may.
    """
    async with AsyncExitStack() as stack:
        report("starting", 0, 0)
        async with asyncio.timeout(options.minutes * 60):
            environment, cache = await stack.enter_async_context(_started(options, directory))
            return await _disturb(options, environment, cache, report)


async def _disturb(options: Options, on: Environment, cache: str, report: Report) -> Run:
    samples: list[Sample] = []
    traffic = on.traffic
    began = time.monotonic()
    traffic.allowed = round(options.jobs * FIRST_SHARE)
    await _settle(traffic, traffic.allowed, lambda: report("before faults", traffic.done, 0))
    await _sample(on.fleet, samples, late=False)
    traffic.allowed = options.jobs
    schedule = make_schedule(options.seed, options.jobs, options.faults, options.kinds)
    conductor = Conductor(schedule, on)
    await conductor.play(lambda what: report(what, traffic.done, conductor.over))
    await _settle(traffic, options.jobs, lambda: report("settling", traffic.done, conductor.over))
    seconds = time.monotonic() - began
    await _sample(on.fleet, samples, late=True)
    report("stopping workers", traffic.done, conductor.over)
    await on.fleet.stop()
    report("reading back", traffic.done, conductor.over)
    history = await read_history(options, on.topics, traffic, samples, on.fleet.exits.crashes)
    history.hits = on.hits
    return Run(
        history,
        seconds,
        conductor.counts,
        conductor.nothing,
        on.fleet.exits.unavailable,
        cache,
    )


async def _settle(traffic: Traffic, jobs: int, tell: Callable[[], None]) -> None:
    """Return when so many jobs are done, or when nothing is done any longer."""
    done, since = -1, time.monotonic()
    while traffic.done < jobs:
        if traffic.done != done:
            done, since = traffic.done, time.monotonic()
        if time.monotonic() - since > STALLED_SECONDS:
            return
        tell()
        await traffic.wait(0.5)
    tell()


async def _sample(fleet: Fleet, samples: list[Sample], *, late: bool) -> None:
    """Sample all workers while they have nothing to do."""
    await asyncio.sleep(SETTLE_SECONDS)
    for _ in range(SAMPLES):
        await asyncio.sleep(SAMPLE_SECONDS)
        for replica in fleet.replicas:
            sample = take_sample(replica.process.pid, late=late)
            if sample is not None:
                samples.append(sample)


@asynccontextmanager
async def _started(options: Options, directory: Path) -> AsyncIterator[tuple[Environment, str]]:
    """Start everything; it is stopped in the reverse order, however the run ends."""
    jars = await asyncio.to_thread(fetch_jars, cache_directory() / "kafka")
    model = await asyncio.to_thread(prepare_model, cache_directory())
    async with AsyncExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="classify-chaos-")))
        cache, cache_kind = stack.enter_context(full_cache(data / "full-cache"))
        fronts = free_ports(options.brokers)
        cluster = KafkaCluster(data / "kafka", jars, options.brokers, advertised=fronts)
        stack.callback(cluster.kill)
        await asyncio.to_thread(cluster.start)
        proxies = [
            await stack.enter_async_context(Proxy(front, port))
            for front, port in zip(fronts, cluster.ports, strict=True)
        ]
        image = make_image()
        host = await stack.enter_async_context(ImageHost(image))
        topics = Topics(cluster.internal_servers, cluster.replication, PARTITIONS)
        await topics.create()

        def message(draft: Draft) -> tuple[bytes | None, list[tuple[str, bytes]]]:
            made = draft.message(image, host.url)
            return made.value, [(name, value or b"") for name, value in made.headers]

        drafts = list(make_drafts(options.seed, options.jobs))
        backlog = min(BACKLOG, options.jobs // 4)
        traffic = Traffic(cluster.internal_servers, topics, drafts, message, backlog)
        await stack.enter_async_context(traffic)
        quick = await asyncio.to_thread(make_quick, model, data / "model")
        settings = worker_environment(options, fronts, quick)
        fleet = await stack.enter_async_context(Fleet(options.workers, settings, directory))
        yield (
            Environment(cluster, proxies, fleet, topics, traffic, host, cache),
            cache_kind,
        )
