"""Warming a slot and choosing its batch size, by measuring."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from worker.clock import SYSTEM_CLOCK, Clock
from worker.settings import BatchingSettings

__all__ = ["Calibration", "Measurement", "calibrate", "count_runs", "noise"]

TIME_LIMIT = 3.0
"""Seconds of predictor time after which no larger batch is tried."""

NEARLY = 0.95
"""A batch is as good as the fastest when it reaches this share of its images per second."""

RUNS = 2
"""Measured runs per size, after one that warms it; the faster counts."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One batch size and the seconds of one run, with the way to the predictor and back."""

    size: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """What was measured, smallest batch first, and the batch size chosen."""

    rows: tuple[Measurement, ...]
    max_batch: int


def calibrate(
    run: Callable[[Sequence[npt.NDArray[np.uint8]]], object],
    input_size: tuple[int, int],
    batching: BatchingSettings,
    *,
    clock: Clock = SYSTEM_CLOCK,
) -> Calibration:
    """Run batches of 1, 2, 4, ... noise images; take the smallest that is nearly the fastest.

    A fixed `batching.max_batch` is only warmed and measured.

    Args:
        run: runs the predictor on images `[H, W, 3] uint8`.
        input_size: `(H, W)` in pixels.

    Returns:
        The measurements, and the batch size to use.

    Raises:
        PredictorError: from `run`.
    """
    limit = batching.max_batch or batching.calibration_limit
    images = noise(limit, input_size)
    sizes = [size for size in (1 << power for power in range(11)) if size < limit] + [limit]
    if batching.max_batch:
        sizes = sorted({1, limit})
    rows: list[Measurement] = []
    spent = 0.0
    for size in sizes:
        seconds = [_time(run, images[:size], clock) for _ in range(1 + RUNS)]
        spent += sum(seconds)
        rows.append(Measurement(size, min(seconds[1:])))
        if spent > TIME_LIMIT and not batching.max_batch:
            break
    if batching.max_batch:
        return Calibration(tuple(rows), limit)
    fastest = max(row.size / row.seconds for row in rows)
    return Calibration(
        tuple(rows), next(row.size for row in rows if row.size / row.seconds >= NEARLY * fastest)
    )


def noise(count: int, input_size: tuple[int, int]) -> list[npt.NDArray[np.uint8]]:
    """Make images to measure with.

    Args:
        input_size: `(H, W)` in pixels.

    Returns:
        `count` images `[H, W, 3] uint8`.
    """
    return list(np.random.default_rng(0).integers(0, 256, (count, *input_size, 3), np.uint8))


def count_runs(
    run: Callable[[Sequence[npt.NDArray[np.uint8]]], object],
    images: Sequence[npt.NDArray[np.uint8]],
    seconds: float,
    clock: Clock = SYSTEM_CLOCK,
) -> float:
    """Run one batch again and again, at least once, until `seconds` are over.

    Returns:
        Images per second.
    """
    began = clock.monotonic()
    count = 0
    while True:
        run(images)
        count += len(images)
        elapsed = clock.monotonic() - began
        if elapsed >= seconds:
            return count / elapsed


def _time(
    run: Callable[[Sequence[npt.NDArray[np.uint8]]], object],
    crops: Sequence[npt.NDArray[np.uint8]],
    clock: Clock,
) -> float:
    began = clock.monotonic()
    run(crops)
    return clock.monotonic() - began
