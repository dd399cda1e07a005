"""What `classify-worker bench` measures, in turn, on the same model and images."""

from __future__ import annotations

import asyncio
import platform
import sys
from collections.abc import Callable, Collection, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from worker.bench import alone, bare, codec, device
from worker.bench.engine import EngineBench
from worker.bench.limit import ON_FREE_CORES, fastest_backend
from worker.bench.measurement import Measurement
from worker.errors import UnfitSystemError
from worker.inference.placement import available_cores
from worker.model import ModelSpec
from worker.settings import Settings

__all__ = ["LOADS", "SECTIONS", "Subject", "measure_alone", "measure_bare", "measure_codec", "run"]

SECTIONS = ("bare", "codec", "engine", "latency")

LOADS = (25, 50, 75, 90)
"""Percent of saturation at which latency is measured."""

Say = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Subject:
    """What is measured.

    Attributes:
        model: its directory.
        name: the model's, in reports.
        images: files of encoded images.
        seconds: length of each measurement.
        pictures: with pictures, without, or both in turn.
    """

    model: Path
    name: str
    images: Sequence[Path]
    seconds: float
    pictures: Sequence[bool] = (False, True)


def run(
    subject: Subject, spec: ModelSpec, settings: Settings, sections: Collection[str], say: Say
) -> Iterator[Measurement]:
    """Measure sections, of `SECTIONS`.

    Args:
        spec: the subject's model.
        settings: of the engine.
        say: called with what is being measured.

    Yields:
        Measurements as they come.

    Raises:
        ModelError: no backend can compute the model.
        UnfitSystemError: a section needs Linux.
        WorkerError: an image cannot be classified, or the engine cannot be started.
    """
    backend = "paddle"
    on_cpu = settings.device.kind == "cpu"
    if "bare" in sections and not on_cpu:
        say(f"bare, on {settings.device}")
        yield from device.measure(
            subject.model, subject.name, settings.device, settings.predictor, subject.seconds / 2
        )
    elif "bare" in sections:
        measured = list(measure_bare(subject, say))
        yield from measured
        backend = fastest_backend(measured)
    if "codec" in sections:
        yield from measure_codec(subject, say)
    if "latency" in sections and on_cpu:
        yield from measure_alone(subject, backend, say)
    if {"engine", "latency"} & set(sections):
        yield from _run_loop(_engine(subject, spec, settings, sections, say))


def measure_bare(subject: Subject, say: Say) -> Iterator[Measurement]:
    """Measure all backends in all layouts.

    Yields:
        The fastest batch and layout of each, with all others in its details.

    Raises:
        ModelError: no backend can compute the model.
    """
    found = list(bare.measure(subject.model, available_cores(), subject.seconds / 2, say=say))
    bare.best(found)
    for backend in dict.fromkeys(each.backend for each in found):
        tried = [each for each in found if each.backend == backend]
        fastest = max(tried, key=lambda each: each.on_free_cores)
        if fastest.problem:
            details = {"problem": fastest.problem}
            yield Measurement(f"bare {backend}", subject.name, details=details)
            continue
        yield Measurement(
            f"bare {backend}",
            subject.name,
            images_per_second=fastest.images_per_second,
            ms_cpu_per_image=fastest.ms_cpu_per_image,
            details={
                "batch": fastest.batch,
                "layout": str(fastest.layout),
                ON_FREE_CORES: fastest.on_free_cores,
                "cores_taken_by_others": fastest.taken,
                "images_per_second_by_layout": {
                    f"{each.layout} batch {each.batch}": each.images_per_second for each in tried
                },
                "ms_cpu_by_layout": {
                    f"{each.layout} batch {each.batch}": each.ms_cpu_per_image for each in tried
                },
            },
        )


def measure_codec(subject: Subject, say: Say) -> Iterator[Measurement]:
    """Measure the codec floor.

    Yields:
        One for results without pictures, one for results with them, as the subject says.
    """
    for pictures in subject.pictures:
        say(f"codec floor{_with(pictures)}")
        yield codec.measure(
            subject.model, subject.name, subject.images, subject.seconds, pictures=pictures
        )


def measure_alone(subject: Subject, backend: str, say: Say) -> Iterator[Measurement]:
    """Measure single images without anything around them, on all cores, one after the other.

    Yields:
        As `measure_codec` does.
    """
    for pictures in subject.pictures:
        say(f"{alone.NAME}{_with(pictures)}")
        yield alone.measure(
            subject.model,
            subject.name,
            subject.images,
            backend,
            available_cores(),
            subject.seconds,
            pictures=pictures,
        )


async def _engine(
    subject: Subject, spec: ModelSpec, settings: Settings, sections: Collection[str], say: Say
) -> list[Measurement]:
    if platform.system() != "Linux":
        raise UnfitSystemError(
            "the sections engine and latency need Linux's /proc: leave them out of --sections"
        )
    images = [path.read_bytes() for path in subject.images]
    say("starting the engine")
    found: list[Measurement] = []
    async with EngineBench(spec, images, settings) as engine:
        for pictures in subject.pictures:
            say(f"engine{_with(pictures)}, as many images as it takes")
            full = await engine.saturate(subject.seconds, pictures=pictures)
            if "engine" in sections:
                found.append(full)
            for load in LOADS if "latency" in sections else ():
                rate = (full.images_per_second or 1.0) * load / 100
                say(f"engine{_with(pictures)}, at {load} % of that")
                name = f"engine at {load} %"
                found.append(await engine.at_load(name, rate, subject.seconds, pictures=pictures))
    return found


def _run_loop(measuring: Coroutine[Any, Any, list[Measurement]]) -> list[Measurement]:
    """Run it in the event loop that a worker has."""
    try:
        if sys.platform == "win32":
            return asyncio.run(measuring)
        import uvloop  # noqa: PLC0415 - not on every platform

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(measuring)
    except ExceptionGroup as group:
        # Of images that are measured side by side; all fail alike.
        raise group.exceptions[0] from None


def _with(pictures: bool) -> str:
    return " with pictures" if pictures else ""
