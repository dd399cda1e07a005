"""Whether a fast way to compute a model answers as plain Paddle does; found out once per model.

oneDNN, with which Paddle computes on CPU several times faster, answers some networks wrongly
(Paddle 3.3.1, the ConvNeXt family: scores wrong by up to 0.99). So nothing is trusted before it has
answered a few images like Paddle's own kernels. The verdict is kept in the cache directory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from worker.predictor.parity_cache import Verdict, VerdictStore

__all__ = ["TOLERANCE", "Scorer", "compare", "probe_crops", "trusted"]

TOLERANCE = 1e-3
"""Largest difference of a score; correct kernels differ by rounding, 5e-4 at most."""

TIE = 1e-3
"""Classes whose scores differ by less than this share are equally good as the best one."""

PROBES = 4


class Scorer(Protocol):
    """What turns crops into scores."""

    def scores(self, crops: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Scores `[N, C] float32` for `[N, H, W, 3] uint8` crops."""
        ...


S = TypeVar("S", bound=Scorer)


def trusted(
    fast: Callable[[], S],
    plain: Callable[[], S],
    input_size: tuple[int, int],
    verdicts: VerdictStore,
) -> S:
    """The fast one if it answers like the plain one, else the plain one.

    Args:
        fast: loads the candidate; that it cannot is a disagreement.
        plain: loads the reference.
        input_size: `(height, width)` of the crops.
        verdicts: where the verdict is looked up, or kept when there is none yet.

    Raises:
        Exception: what `plain` raises; what `fast` raises, if it once agreed.
    """
    with verdicts.locked():
        verdict = verdicts.read()
        if verdict is None:
            crops = probe_crops(input_size)
            # Freed before the other one is loaded: two networks may not fit into memory.
            reference = plain().scores(crops)
            candidate, verdict = _judge(fast, crops, reference)
            verdicts.write(verdict)
            if candidate is not None and verdict.agrees:
                return candidate
    return fast() if verdict.agrees else plain()


def probe_crops(input_size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """`[4, H, W, 3] uint8`: the same each time, from smooth to rough, as photographs are.

    Args:
        input_size: `(height, width)` in pixels.
    """
    height, width = input_size
    random = np.random.default_rng(20)
    crops = np.empty((PROBES, height, width, 3), np.uint8)
    for crop, size in zip(crops, (height, height // 4, height // 16, 1), strict=True):
        # Noise in cells of so many pixels, blended linearly: a gradient first, grain last.
        cell = max(1, size)
        rows, columns = height // cell + 2, width // cell + 2
        grid = random.uniform(0, 255, (rows, columns, 3))
        down, across = np.arange(height) / cell, np.arange(width) / cell
        crop[:] = _blend(_blend(grid, down).swapaxes(0, 1), across).swapaxes(0, 1)
    return crops


def compare(candidate: npt.NDArray[np.float32], reference: npt.NDArray[np.float32]) -> Verdict:
    """Judge scores `[N, C]` by those of the reference for the same images."""
    if candidate.shape != reference.shape:
        return Verdict(agrees=False, deviation=1.0)
    deviation = float(np.abs(candidate - reference).max())
    chosen = np.take_along_axis(reference, candidate.argmax(axis=1)[:, None], axis=1)[:, 0]
    same_best = bool((chosen >= reference.max(axis=1) * (1 - TIE)).all())
    return Verdict(same_best and deviation <= TOLERANCE, deviation)


def _judge(
    load: Callable[[], S], crops: npt.NDArray[np.uint8], reference: npt.NDArray[np.float32]
) -> tuple[S | None, Verdict]:
    try:
        candidate = load()
        scores = candidate.scores(crops)
    except Exception:  # noqa: BLE001 - whichever error a library has for "not supported"
        return None, Verdict(agrees=False, deviation=1.0)
    return candidate, compare(scores, reference)


def _blend(grid: npt.NDArray[np.float64], at: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Rows of a grid at fractional positions."""
    index = at.astype(int)
    share = (at - index)[:, None, None]
    blended: npt.NDArray[np.float64] = grid[index] * (1 - share) + grid[index + 1] * share
    return blended
