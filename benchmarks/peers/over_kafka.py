"""Through Kafka: the worker, the plain consumer and FastStream, with the jobs of one topic."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

import orjson
from aiokafka import AIOKafkaConsumer
from rich.console import Console

from benchmarks.bare_program import BareProgram, work_together
from benchmarks.messages import job_messages
from benchmarks.peers.agreement import check_agreement
from benchmarks.peers.bench import BACKENDS, Bench, Contest
from benchmarks.peers.comparison import WORKER, in_rounds, line
from benchmarks.peers.limit import LIMIT, backends
from benchmarks.peers.peer_process import PeerProcess
from benchmarks.results import ResultCounter
from benchmarks.stretch import measure_stretch
from benchmarks.topics import Topics, fill, make_topics
from demo.logged_process import LoggedProcess
from demo.worker_process import WorkerProcess
from worker.bench.limit import Contender
from worker.bench.measurement import Measurement
from worker.contract.job_messages import JobEnvelope
from worker.contract.records import Message

__all__ = ["CONTENDERS", "PROGRAMS", "check_programs", "measure_kafka", "running"]

PROGRAMS = {"plain consumer": "consumer", "FastStream": "faststream"}
"""The environment of each peer."""

MODULES = {
    "consumer": "benchmarks.peers.programs.plain_consumer",
    "faststream": "benchmarks.peers.programs.faststream_app",
}

CONTENDERS = (*(f"{WORKER} {backend}" for backend in BACKENDS), LIMIT, *PROGRAMS)

PARTITIONS = 4
ANSWERS = 120.0
"""Seconds for all photographs to be answered, the program's start among them."""


def measure_kafka(
    bench: Bench, contest: Contest, bootstrap: str, names: Sequence[str], console: Console
) -> Iterator[Measurement]:
    """Check that all answer the same, then measure all in turn.

    Yields:
        Each measurement, as soon as it is made.

    Raises:
        DisagreementError: they do not.
        DemoError: a program does not do its jobs; the message has the end of its log.
    """
    programs = [name for name in names if name != LIMIT]
    console.print(check_programs(bench, bootstrap, programs))
    images = [path.read_bytes() for path in bench.images]
    filled = {
        pictures: asyncio.run(
            _fill(bootstrap, job_messages("base64", images, pictures=pictures), contest.jobs)
        )
        for pictures in (False, True)
    }
    best = _best_beside_codecs(bench, contest, filled[False], console) if LIMIT in names else None
    for number, pictures, name in in_rounds(contest.rounds, filled, names):
        work = None
        if best is not None and name == LIMIT:
            work = work_together(bench.model, bench.images, best, pictures=pictures)
        rate, cpu, more = asyncio.run(_measure(bench, filled[pictures], name, contest.jobs, work))
        details = {"load": "Kafka", "round": number, **more}
        found = Measurement(name, bench.name, pictures, rate, cpu, details)
        console.print(line(found))
        yield found


def _best_beside_codecs(
    bench: Bench, contest: Contest, topics: Topics, console: Console
) -> Contender:
    """The backend of the limit: of those about as fast alone the one that takes least in it."""
    tried = backends(bench, contest.seconds, console.print)

    def cpu(each: Contender) -> float:
        work = work_together(bench.model, bench.images, each, pictures=False)
        _, taken, _ = asyncio.run(_measure(bench, topics, LIMIT, contest.jobs, work))
        return taken

    return min(tried, key=cpu) if len(tried) > 1 else tried[0]


def check_programs(bench: Bench, bootstrap: str, programs: Sequence[str]) -> str:
    """Check that programs answer the same for all photographs.

    Returns:
        What was compared.

    Raises:
        DisagreementError: they do not.
        DemoError: a program does not answer; the message has the end of its log.
    """
    answers = {name: asyncio.run(_best(bench, bootstrap, name)) for name in programs}
    return check_agreement(answers)


async def _fill(bootstrap: str, messages: Sequence[Message], jobs: int) -> Topics:
    topics = await make_topics(bootstrap, PARTITIONS)
    await fill(topics, messages, jobs)
    return topics


async def _fresh(topics: Topics) -> Topics:
    """The same jobs, for a group that has done none, whose results go elsewhere."""
    return replace(await make_topics(topics.bootstrap, topics.partitions), jobs=topics.jobs)


async def _measure(
    bench: Bench,
    jobs_topic: Topics,
    name: str,
    jobs: int,
    work: Mapping[str, object] | None = None,
) -> tuple[float, float, dict[str, object]]:
    topics = await _fresh(jobs_topic)
    with running(bench, topics, name, work=work) as process:
        async with ResultCounter(topics) as counter:
            try:
                stretch = await measure_stretch(counter, [process.pid], jobs)
            except TimeoutError:
                raise process.failed("did not do its jobs in time") from None
            await counter.check_last()
    details = {
        "jobs": stretch.images,
        "ms_cpu_by_kind": stretch.ms_cpu_by_kind,
        "peak_mb": stretch.peak_mb,
    }
    return stretch.images_per_second, stretch.ms_cpu_per_image, details


@contextmanager
def running(
    bench: Bench,
    topics: Topics,
    name: str,
    *,
    labelled: bool = False,
    work: Mapping[str, object] | None = None,
) -> Iterator[LoggedProcess]:
    """Run the program `name` in the block; a worker is ready when it begins.

    Args:
        labelled: whether it has the model whose answers are compared.
        work: of the bare program, which is then run.

    Yields:
        Its process.
    """
    model = bench.labelled if labelled else bench.model
    log = bench.directory / f"{topics.group}.log"
    if work is not None:
        with BareProgram(topics, work, bench.directory) as process:
            yield process
    elif name in PROGRAMS:
        environment = PROGRAMS[name]
        arguments = [str(model), topics.bootstrap, topics.jobs, topics.results, topics.group]
        with PeerProcess(bench.pythons[environment], MODULES[environment], arguments, log) as peer:
            yield peer
    else:
        settings = {
            "WORKER_MODEL": str(model),
            "WORKER_PREDICTOR__BACKEND": name.removeprefix(WORKER).strip(),
            **topics.environment(),
        }
        with WorkerProcess(settings, log) as worker:
            worker.wait_until_ready(ANSWERS)
            yield worker


async def _best(bench: Bench, bootstrap: str, name: str) -> dict[str, int]:
    """The best class that a program answers for each photograph."""
    topics = await make_topics(bootstrap, PARTITIONS)
    messages = [
        JobEnvelope(key, "agreement", visualize=False).with_base64(path.read_bytes())
        for key, path in bench.photographs.items()
    ]
    await fill(topics, messages, len(messages))
    found: dict[str, int] = {}
    consumer = AIOKafkaConsumer(
        topics.results, bootstrap_servers=bootstrap, auto_offset_reset="earliest"
    )
    with running(bench, topics, name, labelled=True) as process:
        try:
            async with consumer, asyncio.timeout(ANSWERS):
                while len(found) < len(messages):
                    answer = orjson.loads((await consumer.getone()).value)
                    found[answer["jobId"]] = answer["result"]["categories"][0]["id"]
        except TimeoutError:
            raise process.failed("did not answer all photographs in time") from None
    return found
