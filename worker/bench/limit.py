"""How close to the limit: the fastest backend alone and the codecs alone, in CPU time per image."""

from __future__ import annotations

from collections.abc import Iterable

from worker.bench.measurement import Measurement

__all__ = [
    "ON_FREE_CORES",
    "TRANSPORT",
    "fastest_backend",
    "limit_of",
    "ratio_to_floors",
    "ratio_to_limit",
]

BARE = "bare "
"""What the names of backends alone begin with."""

TRANSPORT = "transport floor"
"""What the names of the transport alone begin with; the way in follows."""

ON_FREE_CORES = "images_per_second_on_free_cores"
"""The detail with a backend's rate, had no other program taken cores."""


def fastest_backend(measurements: Iterable[Measurement]) -> str:
    """Choose among backends that were measured alone.

    Returns:
        The one with the most images per second on free cores; `paddle` if there is none.
    """
    fastest = _fastest(measurements)
    return "paddle" if fastest is None else fastest.name.removeprefix(BARE)


def _fastest(measurements: Iterable[Measurement]) -> Measurement | None:
    bare = (each for each in measurements if each.name.startswith(BARE) and each.images_per_second)

    def rate(each: Measurement) -> float:
        return float(each.details.get(ON_FREE_CORES, each.images_per_second))

    return max(bare, key=rate, default=None)


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


def ratio_to_floors(measurement: Measurement, measurements: Iterable[Measurement]) -> float | None:
    """Compare as `ratio_to_limit`, with the transport floor of the same way in added to the limit.

    Returns:
        The share of what nobody could leave out; None where the transport was not measured.
    """
    measurements = list(measurements)
    limit = limit_of(measurements, measurement.model, pictures=measurement.pictures)
    way = measurement.name.rpartition(" ")[2]
    transport = next(
        (
            each.ms_cpu_per_image
            for each in measurements
            if each.name == f"{TRANSPORT} {way}"
            and (each.model, each.pictures) == (measurement.model, measurement.pictures)
        ),
        None,
    )
    if limit is None or transport is None or not measurement.ms_cpu_per_image:
        return None
    return (limit + transport) / measurement.ms_cpu_per_image
