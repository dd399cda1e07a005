"""What a run measures with one model, section by section."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace

from benchmarks.growth import grow
from benchmarks.messages import WAYS, Way
from benchmarks.open_loop import measure_bare_program, measure_latency
from benchmarks.saturation import Setting, saturate
from benchmarks.starts import measure_starts
from benchmarks.transport import measure_together, measure_transport
from worker.bench.limit import (
    BARE_PROGRAM,
    TOGETHER,
    contender,
    contenders,
    fastest_backend,
    limit_of,
)
from worker.bench.measurement import Measurement
from worker.bench.process_tree import EVENT_LOOP
from worker.bench.run import LOADS, Subject, measure_alone, measure_bare, measure_codec
from worker.inference.placement import available_cores

__all__ = ["DEFAULT", "SECTIONS", "measure"]

DEFAULT = ("bare", "codec", "transport", "together", "worker", "latency", "ceiling", "start")
SECTIONS = (*DEFAULT, "scaling", "growth")

INSTANT = {
    "WORKER_FAILPOINTS": "predictor.instant=1",
    # Nothing is measured at the start: what answers at once is not to be chosen for anything.
    "WORKER_PREDICTOR__BACKEND": "paddle",
    "WORKER_BATCHING__MAX_BATCH": "8",
}
"""Predictors that answer at once, so that all that the worker does itself is left."""

REPLICAS = (1, 2, 4)
PARTITIONS = 8

START_COUNT = 7
"""Of each program."""

MEASURED_SHARE = 0.7
"""Of the jobs; see `stretch`."""

TRANSPORT_RATE = 1000
"""Images/s, about, of the transport alone."""

GUESS = 0.6
"""Of the limit, for the length of the first measurement."""

LEAST, MOST = 200, 20_000
"""Jobs of a measurement."""

Say = Callable[[str], object]


def measure(
    subject: Subject, setting: Setting, sections: Collection[str], say: Say
) -> Iterator[Measurement]:
    """Measure sections, of `SECTIONS`, in that order.

    Args:
        subject: for what is measured without a worker.
        setting: for what is measured with one; the same model and images.
        say: called with what is being measured.

    Yields:
        Measurements as they come.
    """
    found: list[Measurement] = []

    def keep(measured: Iterator[Measurement]) -> Iterator[Measurement]:
        for each in measured:
            found.append(each)
            yield each

    yield from keep(_floors(subject, setting, sections, say))
    yield from keep(_saturated(subject, setting, sections, found, say))
    if "latency" in sections:
        yield from _latency(subject, setting, found, say)
    if "ceiling" in sections:
        yield from _ceiling(subject, setting, found, say)
    if "start" in sections:
        say("starts, of a worker and of commands")
        yield from measure_starts(setting, START_COUNT)
    if "scaling" in sections:
        yield from _scaling(subject, setting, found, say)
    if "growth" in sections:
        yield from grow(setting, _jobs(subject, found, pictures=False), say)


def _floors(
    subject: Subject, setting: Setting, sections: Collection[str], say: Say
) -> Iterator[Measurement]:
    """What nobody can leave out."""
    if "bare" in sections:
        yield from measure_bare(subject, say)
    if "codec" in sections:
        yield from measure_codec(subject, say)
    if "transport" in sections:
        yield from _transport(subject, setting, say)


def _transport(subject: Subject, setting: Setting, say: Say) -> Iterator[Measurement]:
    # The server of the URLs shares the cores with the broker, and like it is not counted. It is the
    # same for the worker, and asked for as many images at a time. So CPU time per image compares
    # the two clients; images/s are as much the server's.
    for pictures, way in itertools.product(subject.pictures, WAYS):
        say(f"transport floor, {way}{', pictures' if pictures else ''}")
        jobs = min(MOST, round(TRANSPORT_RATE * subject.seconds))
        yield measure_transport(setting, subject.images, way, jobs, pictures=pictures)


def _saturated(
    subject: Subject,
    setting: Setting,
    sections: Collection[str],
    found: list[Measurement],
    say: Say,
) -> Iterator[Measurement]:
    """The worker, and just before it what it is compared with: the machine is then the same."""
    for pictures, way in itertools.product(subject.pictures, WAYS):
        jobs = _jobs(subject, found, pictures=pictures)
        if "together" in sections:
            yield _together(subject, setting, found, way, jobs, say, pictures=pictures)
        # Latency needs to know where saturation is.
        if "worker" in sections or ("latency" in sections and way == WAYS[0]):
            say(f"worker, {way}{', pictures' if pictures else ''}")
            yield saturate(setting, f"worker {way}", way, jobs, pictures=pictures)


def _together(
    subject: Subject,
    setting: Setting,
    found: list[Measurement],
    way: Way,
    jobs: int,
    say: Say,
    *,
    pictures: bool,
) -> Measurement:
    """All floors at once, with the backend that takes least beside codecs; tried the first time."""
    known = [each for each in found if each.name.startswith(TOGETHER)]
    tried = [contender(known[0])] if known else contenders(found)
    measured = []
    for each in tried:
        say(f"floors together, {way}{', pictures' if pictures else ''}, {each}")
        measured.append(
            measure_together(setting, subject.images, each, way, jobs, pictures=pictures)
        )
    least = min(measured, key=lambda each: each.ms_cpu_per_image or math.inf)
    took = {str(each): one.ms_cpu_per_image for each, one in zip(tried, measured, strict=True)}
    return replace(least, details={**least.details, "ms_cpu_by_contender": took})


def _latency(
    subject: Subject, setting: Setting, found: list[Measurement], say: Say
) -> Iterator[Measurement]:
    backend = fastest_backend(found)
    yield from measure_alone(subject, backend, say)
    for pictures in subject.pictures:
        (full,) = (
            each.images_per_second or 1.0
            for each in found
            if each.name == "worker base64" and each.pictures == pictures
        )
        name, rate = f"{BARE_PROGRAM} at {LOADS[0]} %", full * LOADS[0] / 100
        say(f"{name}{', pictures' if pictures else ''}")
        yield from measure_bare_program(
            setting, name, backend, rate, subject.seconds, pictures=pictures
        )
        say(f"latency{', pictures' if pictures else ''}, at {LOADS} % of {full:.0f} images/s")
        yield from measure_latency(setting, full, LOADS, subject.seconds, pictures=pictures)


def _ceiling(
    subject: Subject, setting: Setting, found: list[Measurement], say: Say
) -> Iterator[Measurement]:
    for way in WAYS:
        say(f"ceiling, {way}")
        jobs = _jobs(subject, found, pictures=False)
        made = saturate(setting, f"ceiling {way}", way, jobs, pictures=False, environ=INSTANT)
        loop = made.details["ms_cpu_by_kind"][EVENT_LOOP]
        details = {**made.details, "event_loop_images_per_second": 1000 / loop}
        yield Measurement(
            made.name,
            made.model,
            made.pictures,
            made.images_per_second,
            made.ms_cpu_per_image,
            details,
        )


def _scaling(
    subject: Subject, setting: Setting, found: list[Measurement], say: Say
) -> Iterator[Measurement]:
    jobs = _jobs(subject, found, pictures=False)
    for replicas in REPLICAS:
        say(f"{replicas} replicas")
        yield saturate(
            setting,
            f"replicas {replicas}",
            "raw",
            jobs,
            pictures=False,
            replicas=replicas,
            partitions=PARTITIONS,
        )
    cores = available_cores()
    for slots, threads in dict.fromkeys(((1, 1), (1, cores), (cores, 1), (cores, 2))):
        say(f"{slots} slots of {threads} threads")
        environ = {
            "WORKER_PREDICTOR__SLOTS": str(slots),
            "WORKER_PREDICTOR__THREADS": str(threads),
        }
        name = f"slots {slots}x{threads}"
        yield saturate(setting, name, "raw", jobs, pictures=False, environ=environ)


def _jobs(subject: Subject, found: list[Measurement], *, pictures: bool) -> int:
    """How many jobs take about the subject's seconds."""
    full = [
        each.images_per_second
        for each in found
        if each.name.startswith("worker ") and each.images_per_second
    ]
    rate = max(full, default=0.0)
    if not rate:
        limit = limit_of(found, subject.name, pictures=pictures)
        rate = GUESS * available_cores() * 1000 / (limit or 20.0)
    return min(MOST, max(LEAST, round(rate * subject.seconds / MEASURED_SHARE)))
