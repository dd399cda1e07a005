"""At light load: how long a job takes from its record to its result, by the broker's clock."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from rich.console import Console

from benchmarks.bare_program import one_by_one
from benchmarks.open_loop_clients import Clients, lead_in, measure_at
from benchmarks.peers.bench import BACKENDS, Bench, Contest
from benchmarks.peers.comparison import WORKER, in_rounds, line
from benchmarks.peers.limit import LIMIT, backends, seconds_alone
from benchmarks.peers.over_kafka import check_programs, running
from benchmarks.topics import make_topics
from worker.bench.measurement import Measurement
from worker.bench.process_tree import look, spent

__all__ = ["CONTENDERS", "measure_light"]

CONTENDERS = (*(f"{WORKER} {backend}" for backend in BACKENDS), LIMIT, "plain consumer")

SHARE = 0.25
"""Of the images/s of one image after the other on all cores, with nothing around it."""


def measure_light(
    bench: Bench, contest: Contest, bootstrap: str, names: Sequence[str], console: Console
) -> Iterator[Measurement]:
    """Check that all answer the same, then send each the same few jobs, at even distances.

    Yields:
        Each measurement, as soon as it is made.

    Raises:
        DisagreementError: they do not.
        DemoError: a program does not do its jobs; the message has the end of its log.
    """
    console.print(check_programs(bench, bootstrap, [each for each in names if each != LIMIT]))
    backend = backends(bench, contest.seconds, console.print)[0].backend
    rates = {
        pictures: SHARE / seconds_alone(bench, backend, contest.seconds, pictures=pictures)
        for pictures in (False, True)
    }
    for number, pictures, name in in_rounds(contest.rounds, rates, names):
        rate = rates[pictures]
        work = one_by_one(bench.model, backend, pictures=pictures) if name == LIMIT else None
        sent = _Sent(rate=rate, seconds=contest.seconds, pictures=pictures)
        found = asyncio.run(_measure(bench, bootstrap, name, sent, work))
        found = replace(found, details={**found.details, "load": "Kafka, light", "round": number})
        console.print(line(found))
        yield found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sent:
    """Which jobs are sent, at how many a second."""

    rate: float
    seconds: float
    pictures: bool


async def _measure(
    bench: Bench, bootstrap: str, name: str, sent: _Sent, work: Mapping[str, object] | None
) -> Measurement:
    images = [path.read_bytes() for path in bench.images]
    topics = await make_topics(bootstrap, append_time=True)
    with running(bench, topics, name, work=work) as process:
        async with Clients(topics, images, pictures=sent.pictures) as clients:
            try:
                await lead_in(clients, sent.rate)
                before = look(process.pid)
                _, appended = await measure_at(clients, bench.name, name, sent.rate, sent.seconds)
                cpu = spent(before, look(process.pid))
            except TimeoutError:
                raise process.failed("did not do its jobs in time") from None
    milliseconds = sum(cpu.values()) * 1000 / appended.details["samples"]
    return replace(appended, name=name, ms_cpu_per_image=milliseconds)
