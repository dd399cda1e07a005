"""How close to the limit: the fastest backend alone and the codecs alone, in CPU time per image."""

from __future__ import annotations

from collections.abc import Iterable

from worker.bench.measurement import Measurement

__all__ = ["LIMIT", "limit_of", "ratio_to_limit"]

LIMIT = "limit"


def limit_of(measurements: Iterable[Measurement], model: str, *, pictures: bool) -> float | None:
    """Add the fastest backend and the codec floor.

    Returns:
        Milliseconds of CPU time per image; None where one of the two was not measured.
    """
    of_model = [each for each in measurements if each.model == model]
    bare = [each for each in of_model if each.name.startswith("bare ") and each.images_per_second]
    floor = [each for each in of_model if each.name == "codec floor" and each.pictures == pictures]
    if not bare or not floor:
        return None
    fastest = max(bare, key=lambda each: each.images_per_second or 0.0)
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
