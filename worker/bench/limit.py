"""How close to the limit, in CPU time per image: backend and codecs alone, or all at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from worker.bench.bare import Layout, layouts
from worker.bench.measurement import Measurement
from worker.inference.placement import available_cores

__all__ = [
    "BARE_PROGRAM",
    "ON_FREE_CORES",
    "TOGETHER",
    "TRANSPORT",
    "Contender",
    "contender",
    "contenders",
    "fastest_backend",
    "limit_of",
    "ratio_to_limit",
    "ratio_to_together",
    "ratios_to_bare_program",
]

BARE = "bare "
"""What the names of backends alone begin with."""

TRANSPORT = "transport floor"
"""What the names of the transport alone begin with; the way in follows."""

WORKER, BARE_PROGRAM = "worker", "bare program"
"""What the names of latencies begin with, the load follows: of the worker, and of a program that
does one image after the other in one process."""

TOGETHER = "floors together"
"""What the names of transport, codecs and network at once begin with; the way in follows."""

BATCH = 8
"""Where nothing says which is best."""

NEAR = 0.9
"""Of the fastest backend's rate: one that is as near alone may be the better one beside codecs."""

ON_FREE_CORES = "images_per_second_on_free_cores"
"""The detail with a backend's rate, had no other program taken cores."""


def fastest_backend(measurements: Iterable[Measurement]) -> str:
    """Choose among backends that were measured alone.

    Returns:
        The one with the most images per second on free cores; `paddle` if there is none.
    """
    fastest = _fastest(measurements)
    return "paddle" if fastest is None else fastest.name.removeprefix(BARE)


@dataclass(frozen=True, slots=True)
class Contender:
    """A backend in the layout and batch that are its best alone."""

    backend: str
    layout: Layout
    batch: int

    def __str__(self) -> str:
        return f"{self.backend} {self.layout} batch {self.batch}"

    def details(self) -> dict[str, object]:
        """Write it among a measurement's details, for `contender`."""
        return {"backend": self.backend, "layout": str(self.layout), "batch": self.batch}


def contenders(measurements: Iterable[Measurement]) -> list[Contender]:
    """Choose among backends that were measured alone those about as fast as the fastest.

    Returns:
        The fastest one first; Paddle if none was measured.
    """
    bare = sorted(_bare(measurements), key=_rate, reverse=True)
    if not bare:
        return [Contender("paddle", layouts(available_cores())[-1], BATCH)]
    return [contender(each) for each in bare if _rate(each) >= NEAR * _rate(bare[0])]


def contender(measurement: Measurement) -> Contender:
    """Read which backend was measured, alone or in the floors together.

    Returns:
        What `Contender.details` wrote.
    """
    details = measurement.details
    return Contender(
        details.get("backend", measurement.name.removeprefix(BARE)),
        Layout.from_text(details["layout"]),
        details["batch"],
    )


def _fastest(measurements: Iterable[Measurement]) -> Measurement | None:
    return max(_bare(measurements), key=_rate, default=None)


def _bare(measurements: Iterable[Measurement]) -> list[Measurement]:
    return [each for each in measurements if each.name.startswith(BARE) and each.images_per_second]


def _rate(bare: Measurement) -> float:
    return float(bare.details.get(ON_FREE_CORES, bare.images_per_second))


def limit_of(measurements: Iterable[Measurement], model: str, *, pictures: bool) -> float | None:
    """Add the fastest backend and the codec floor.

    Returns:
        Milliseconds of CPU time per image; None where one of the two was not measured.
    """
    of_model = [each for each in measurements if each.model == model]
    fastest = _fastest(of_model)
    floor = [each for each in of_model if each.name == "codec floor" and each.pictures == pictures]
    if fastest is None or not floor:
        return None
    parts = fastest.ms_cpu_per_image, floor[0].ms_cpu_per_image
    return None if None in parts else sum(part or 0.0 for part in parts)


def ratio_to_limit(measurement: Measurement, measurements: Iterable[Measurement]) -> float | None:
    """Compare a measurement's CPU time per image with the limit of its model.

    Returns:
        The limit's share of it, so that 1 is perfect; None where it cannot be told.
    """
    limit = limit_of(measurements, measurement.model, pictures=measurement.pictures)
    if limit is None or not measurement.ms_cpu_per_image:
        return None
    return limit / measurement.ms_cpu_per_image


def ratio_to_together(
    measurement: Measurement, measurements: Iterable[Measurement]
) -> float | None:
    """Compare a measurement's CPU time per image with all floors, measured at once.

    Returns:
        The share of what nobody can leave out on the same cores at the same time; None where it
        was not measured.
    """
    name = f"{TOGETHER} {measurement.name.rpartition(' ')[2]}"
    floors = _of_kind(measurement, name, measurements)
    if floors is None or floors is measurement or not measurement.ms_cpu_per_image:
        return None
    return (floors.ms_cpu_per_image or 0.0) / measurement.ms_cpu_per_image


def ratios_to_bare_program(
    measurement: Measurement, measurements: Iterable[Measurement]
) -> tuple[float, float] | None:
    """Compare the worker's latency with that of the bare program at the same load.

    Returns:
        How many times as long it takes, p50 and p99; None where that was not measured, or took less
        than its clock can tell.
    """
    name = measurement.name.replace(WORKER, BARE_PROGRAM, 1)
    bare = _of_kind(measurement, name, measurements)
    if bare is None or bare is measurement:
        return None
    ours, theirs = measurement.details["latency_ms"], bare.details["latency_ms"]
    if not theirs["p50"] or not theirs["p99"]:
        return None
    return ours["p50"] / theirs["p50"], ours["p99"] / theirs["p99"]


def _of_kind(
    measurement: Measurement, name: str, measurements: Iterable[Measurement]
) -> Measurement | None:
    """That of this name with the same model, with or without pictures."""
    kind = measurement.model, measurement.pictures
    found = (each for each in measurements if each.name == name)
    return next((each for each in found if (each.model, each.pictures) == kind), None)
