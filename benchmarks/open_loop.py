"""Latency of a worker behind a real broker, at a given load, from when each job was due.

And what of it is the worker's: from when the broker appended the job's record to when it appended
the result's, by the broker's clock. Sender and reader share the cores, but are not in that.

A bare program beside it shows what no program could do sooner: it reads a job, decodes, computes on
all cores, draws and writes the result, all in one process, and nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from benchmarks.bare_program import BareProgram, one_by_one
from benchmarks.open_loop_clients import Clients, lead_in, measure_at
from benchmarks.saturation import Setting, run_workers
from benchmarks.topics import make_topics
from worker.bench.latency import percentiles
from worker.bench.measurement import Measurement

__all__ = ["ONE_PRODUCE", "measure_bare_program", "measure_latency"]

ONE_PRODUCE = "one produce"
PRODUCED = 200
"""Results that are sent again, one after the other, to measure what a produce takes."""


def measure_latency(
    setting: Setting, saturation: float, loads: Sequence[int], seconds: float, *, pictures: bool
) -> list[Measurement]:
    """Send jobs at even distances, whatever becomes of those before, to one worker.

    The latency of a job ends when its result has been read by a consumer; from record to result it
    ends when the broker has appended the result.

    Args:
        saturation: images per second that the worker manages.
        loads: percent of that.
        seconds: for each.

    Returns:
        Percentiles for each load, twice, and those of one produce of a result.

    Raises:
        DemoError: the worker does not get ready.
        TimeoutError: a result does not come.
    """

    async def measure() -> list[Measurement]:
        topics = await make_topics(setting.bootstrap, append_time=True)
        with run_workers(setting, topics):
            async with Clients(topics, setting.images, pictures=pictures) as clients:
                await lead_in(clients, saturation * loads[0] / 100)
                found = []
                for load in loads:
                    rate = saturation * load / 100
                    name = f"worker at {load} %"
                    found += await measure_at(clients, setting.name, name, rate, seconds)
                took = {"latency_ms": percentiles(sorted(await clients.produce(PRODUCED)))}
                return [*found, Measurement(ONE_PRODUCE, setting.name, pictures, details=took)]

    return asyncio.run(measure())


def measure_bare_program(
    setting: Setting, name: str, backend: str, rate: float, seconds: float, *, pictures: bool
) -> list[Measurement]:
    """Measure as `measure_latency`, with the bare program in the worker's place.

    Args:
        name: of the measurement.
        backend: what computes.
        rate: images per second.

    Returns:
        Percentiles, twice.

    Raises:
        DemoError: the program does not answer; the message has the end of its log.
    """
    work = one_by_one(setting.model, backend, pictures=pictures)

    async def measure() -> list[Measurement]:
        topics = await make_topics(setting.bootstrap, append_time=True)
        with BareProgram(topics, work, setting.logs) as process:
            async with Clients(topics, setting.images, pictures=pictures) as clients:
                try:
                    await lead_in(clients, rate)
                    return await measure_at(clients, setting.name, name, rate, seconds)
                except TimeoutError:
                    raise process.failed("did not answer in time") from None

    return asyncio.run(measure())
