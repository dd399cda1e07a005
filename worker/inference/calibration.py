"""Warming a slot and choosing its batch size, by measuring.

A slot is given a batch, and computes it in parts. The event loop takes the less time an image the
larger the batch is; the network is computed fastest in parts whose numbers stay in the core's
caches, which are small ones for most networks. So the two are chosen apart, the parts beside
decoding (`worker.inference.decoding_beside`). Other devices than processors compute a batch whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

import numpy as np
import numpy.typing as npt

from worker.settings import BatchingSettings

__all__ = [
    "Calibration",
    "Measurement",
    "RunTime",
    "Window",
    "choose",
    "measure_sizes",
    "noise",
    "run_for",
    "solo_pays",
]

TIME_LIMIT = 3.0
"""Seconds of predictor time after which no larger batch is tried."""

NEARLY = 0.99
"""A size is as good as the fastest when it reaches this share of its images per second. Smaller
parts take less memory, and smaller batches are answered sooner."""

LARGEST = 16
"""Images of a batch of several parts at most: 32 gain nothing that can be measured, and with
pictures 0.1 GB more are held in memory."""

LONGEST_BATCH = 0.3
"""Seconds that a batch of several parts takes at most: an urgent image waits for its end."""

SLOWER, TRIED = 0.97, 8
"""A size that falls below this share of the best images per second so far is the last one tried:
larger ones do not gain again, and predictors keep the memory of the largest they ever computed.
Sizes up to the second number are tried in any case: differences are small, and a moment in which
other programs run would end the search at one image."""

RUNS, MOST_RUNS, SIZE_TIME, WHOLE_TIME = 2, 50, 0.3, 0.1
"""Measured runs per size, after one that warms it: at least, at most, and for how many seconds, the
second number where batches are computed whole. The middle one counts: the fastest is one that found
its caches as it had left them."""

BATCH_TIME = 0.0012
"""Seconds of the event loop that a batch takes besides, whatever its size: measured at saturation,
it takes 1.4 ms an image in batches of 1, 0.86 of 4, 0.67 of 8, 0.60 of 16 and 0.45 of 32. It is
mostly not the batch's own work: after a rest the loop finds its caches used by predictors, so the
first image of a batch takes several times as long as those that follow it."""

LONGEST_WAY = 0.001
"""Seconds that the way to the predictor and back takes at most; more is other programs' doing."""

SOLO_RUNS, MOST_SOLO_RUNS, SOLO_TIME = 5, 40, 0.4
"""Measured runs of an image alone, on a slot's own threads and on all cores in turn: at least, at
most, and for how many seconds. The best ones count: where other programs run, few find all cores
free."""

SOLO_GAIN = 0.85
"""All cores are worth a second copy of the network if an image then takes this share of the time,
or less."""


@dataclass(frozen=True, slots=True)
class RunTime:
    """What one run of a predictor took.

    Attributes:
        elapsed: seconds, with the way to the predictor and back.
        busy: seconds of CPU time per thread, which other programs on the same cores do not
            lengthen; on other devices the same as `elapsed`.
    """

    elapsed: float
    busy: float


@dataclass(frozen=True, slots=True)
class Window:
    """What a number of runs one after another took.

    Attributes:
        images: in all runs.
        elapsed: seconds; see `RunTime`.
        busy: seconds of CPU time per thread; see `RunTime`.
    """

    images: int
    elapsed: float
    busy: float

    def rate(self, taken: float = 0.0) -> float:
        """Compute the speed, had nobody else been there.

        Args:
            taken: share of the cores that other programs had, 0 to 1.

        Returns:
            Images per second: by CPU time, or by the time in which the cores were there for it if
            that is more, since threads may wait for each other.
        """
        return self.images / max(self.busy, self.elapsed * (1 - taken))


@dataclass(frozen=True, slots=True)
class Measurement:
    """What images cost that are computed at once.

    Attributes:
        size: how many.
        seconds: of one run: `RunTime.busy`, or where threads wait for each other, all of it.
        way: seconds that a run takes besides, there and back.
    """

    size: int
    seconds: float
    way: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """What was measured, smallest size first, and what was chosen.

    Attributes:
        max_batch: images that a slot is given at once.
        part: images that it computes at once; `max_batch` where batches are computed whole.
    """

    rows: tuple[Measurement, ...]
    max_batch: int
    part: int


def measure_sizes(
    run: Callable[[Sequence[npt.NDArray[np.uint8]]], RunTime],
    input_size: tuple[int, int],
    batching: BatchingSettings,
    *,
    whole: bool = False,
    threads: int = 1,
) -> tuple[Measurement, ...]:
    """Run 1, 2, 4, ... noise images at once, as far as larger sizes may gain.

    Args:
        run: runs the predictor on images `[H, W, 3] uint8`.
        input_size: `(H, W)` in pixels.
        whole: whether a batch will be computed whole, in kernels that are prepared for its size:
            all sizes up to a fixed one are warmed, then, however long that takes.
        threads: CPU threads of the predictor.

    Returns:
        The measurements, smallest size first. Their sizes are warm.

    Raises:
        PredictorError: from `run`.
    """
    limit = _limit(batching)
    images = noise(limit, input_size)
    busy: dict[int, float] = {}
    way = LONGEST_WAY
    spent = best = 0.0
    for size in _doubled(1, limit):
        warming, *times = _run_repeatedly(run, images[:size], WHOLE_TIME if whole else SIZE_TIME)
        # Not what decoding takes beside, nor, on a GPU, the seconds in which the first run of a
        # size prepares its kernels.
        counted = times if whole else [warming, *times]
        spent += sum(time.busy if threads == 1 else time.elapsed for time in counted)
        if threads == 1:
            busy[size] = median(time.busy for time in times)
            way = min(way, *(max(0.0, time.elapsed - time.busy) for time in times))
        else:
            # Threads that wait for each other take no CPU time.
            busy[size], way = min(time.elapsed for time in times), 0.0
        best = max(best, size / busy[size])
        if whole and batching.max_batch:
            continue
        if spent > TIME_LIMIT or (size >= TRIED and size / busy[size] < SLOWER * best):
            break
    return tuple(Measurement(size, seconds, way) for size, seconds in busy.items())


def choose(
    slots: Sequence[Sequence[Measurement]], batching: BatchingSettings, *, whole: bool = False
) -> Calibration:
    """Choose the batch and its parts for slots that measured side by side.

    They go by the mean of what they measured, since sizes differ by less than one slot can tell.

    Args:
        slots: what each of them measured.
        whole: whether a batch is computed whole.

    Returns:
        The mean of each size that all have tried, and the choice by it.
    """
    measured = [{row.size: row for row in rows} for rows in slots]
    shared = [size for size in measured[0] if all(size in slot for slot in measured)]
    rows = tuple(
        Measurement(
            size,
            fmean(slot[size].seconds for slot in measured),
            fmean(slot[size].way for slot in measured),
        )
        for size in shared
    )
    if whole:
        rates = {row.size: row.size / (row.seconds + row.way + BATCH_TIME) for row in rows}
        size = batching.max_batch or _smallest_of_the_fast(rates)
        return Calibration(rows, size, size)
    part = _smallest_of_the_fast({row.size: row.size / row.seconds for row in rows})
    row = next(row for row in rows if row.size == part)
    image = row.seconds / part
    rates = {
        size: 1 / (image + (row.way + BATCH_TIME) / size)
        for size in _doubled(part, max(part, min(LARGEST, _limit(batching))))
        if size == part or size * image <= LONGEST_BATCH
    }
    return Calibration(rows, batching.max_batch or _smallest_of_the_fast(rates), part)


def _limit(batching: BatchingSettings) -> int:
    return batching.max_batch or batching.calibration_limit


def _doubled(first: int, limit: int) -> list[int]:
    """Sizes from `first` to `limit`, each twice the one before."""
    sizes = [limit]
    while first < limit:
        sizes.insert(-1, first)
        first *= 2
    return sizes


def _smallest_of_the_fast(rates: Mapping[int, float]) -> int:
    nearly = NEARLY * max(rates.values())
    return next(size for size, rate in rates.items() if rate >= nearly)


def _run_repeatedly(
    run: Callable[[Sequence[npt.NDArray[np.uint8]]], RunTime],
    images: Sequence[npt.NDArray[np.uint8]],
    seconds: float,
) -> list[RunTime]:
    """What the run that warms took, and those that are measured."""
    times = [run(images)]
    measured = 0.0
    while len(times) <= RUNS or (len(times) <= MOST_RUNS and measured < seconds):
        times.append(run(images))
        measured += times[-1].elapsed
    return times


def noise(count: int, input_size: tuple[int, int]) -> list[npt.NDArray[np.uint8]]:
    """Make images to measure with.

    Args:
        input_size: `(H, W)` in pixels.

    Returns:
        `count` images `[H, W, 3] uint8`.
    """
    return list(np.random.default_rng(0).integers(0, 256, (count, *input_size, 3), np.uint8))


def run_for(
    run: Callable[[Sequence[npt.NDArray[np.uint8]]], RunTime],
    images: Sequence[npt.NDArray[np.uint8]],
    seconds: float,
) -> Window:
    """Run one batch again and again, at least once, until `seconds` are over.

    Returns:
        What all runs took.
    """
    count, elapsed, busy = 0, 0.0, 0.0
    while True:
        time = run(images)
        count += len(images)
        elapsed += time.elapsed
        busy += time.busy
        if elapsed >= seconds:
            return Window(count, elapsed, busy)


def solo_pays(
    run: Callable[[Sequence[npt.NDArray[np.uint8]]], RunTime],
    run_solo: Callable[[Sequence[npt.NDArray[np.uint8]]], RunTime],
    input_size: tuple[int, int],
) -> bool:
    """Measure whether one image on idle cores is answered sooner if it gets all of them.

    Args:
        run: runs the predictor on the threads of its slot.
        run_solo: runs it on all cores.
        input_size: `(H, W)` in pixels.

    Returns:
        Whether it is, by enough to hold the network in memory a second time.

    Raises:
        PredictorError: from a run.
    """
    image = noise(1, input_size)
    run(image), run_solo(image)
    own: list[float] = []
    all_cores: list[float] = []
    while len(own) < SOLO_RUNS or (
        len(own) < MOST_SOLO_RUNS and sum(own) + sum(all_cores) < SOLO_TIME
    ):
        own.append(run(image).elapsed)
        all_cores.append(run_solo(image).elapsed)
    return min(all_cores) <= SOLO_GAIN * min(own)
