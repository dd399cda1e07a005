"""The parity check: whether a backend answers a model as plain Paddle does.

Paddle's own kernels are slow and correct. With oneDNN Paddle is several times faster on CPU, but
answers some networks wrongly (Paddle 3.3.1, the ConvNeXt family: scores wrong by up to 0.99), and a
conversion can change a network. So each backend first answers a few images that plain Paddle
answers too. The result is kept in the cache directory.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from worker.errors import ParityError
from worker.kernels import Precision
from worker.predictor.backends import own_sentence
from worker.predictor.parity_cache import Parity, ParityCache

__all__ = ["TOLERANCE", "TOLERANCES", "Scorer", "compare", "load_checked", "probe_crops"]

TOLERANCE = 1e-3
"""Largest difference of a score; correct kernels differ by rounding, 5e-4 at most."""

TOLERANCES: Mapping[Precision, float] = {"fp32": TOLERANCE, "fp16": 2e-2, "bf16": 1e-1}
"""The same by precision. With fewer digits it tells of kernels that are wrong, not of answers that
change: how many of those, only labelled images tell."""

TIE = 1e-3
"""Share of the best score by which another class's may be lower and still be as good."""

PROBES = 4
"""Images of the check."""

_NO_MEMORY = re.compile(r"out of memory|failed to allocate memory", re.IGNORECASE)
"""In the words of CUDA and ONNX Runtime, which have no exception of their own for it."""


class Scorer(Protocol):
    """What turns crops into scores."""

    def scores(self, crops: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Compute scores.

        Args:
            crops: `[N, H, W, 3] uint8`.

        Returns:
            `[N, C] float32`, 0 to 1.
        """
        ...


S = TypeVar("S", bound=Scorer)


def load_checked(
    candidate: Callable[[], S],
    plain: Callable[[], Scorer],
    input_size: tuple[int, int],
    cache: ParityCache,
    precision: Precision = "fp32",
) -> S:
    """Load a backend that answers as plain Paddle does.

    Args:
        candidate: loads the backend.
        plain: loads plain Paddle.
        input_size: `(height, width)` of the crops in pixels.
        cache: where the result is looked up, or kept when there is none yet.
        precision: the backend's; plain Paddle has fp32.

    Returns:
        What `candidate` loads.

    Raises:
        ParityError: it answers differently, or could not answer when it was checked.
        Exception: what `plain` raises; what `candidate` raises, if it once passed.
    """
    with cache.locked():
        parity = cache.read()
        if parity is None:
            crops = probe_crops(input_size)
            # Freed before the other one is loaded: two networks may not fit into memory.
            reference = plain().scores(crops)
            loaded, parity, lasting = _check(candidate, crops, reference, precision)
            if lasting:
                cache.write(parity)
            if loaded is not None and parity.agrees:
                return loaded
    if not parity.agrees:
        raise ParityError(parity.problem)
    return candidate()


def probe_crops(input_size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Make the images of the check: the same each time, from smooth to rough.

    Args:
        input_size: `(height, width)` in pixels.

    Returns:
        `[4, H, W, 3] uint8`.
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


def compare(
    candidate: npt.NDArray[np.float32],
    reference: npt.NDArray[np.float32],
    precision: Precision = "fp32",
) -> Parity:
    """Compare a backend's scores with plain Paddle's for the same images.

    Args:
        candidate: the backend's, `[N, C] float32`.
        reference: plain Paddle's, `[N, C] float32`.
        precision: the backend's. Another class may be the best one only with fewer digits than
            those of fp32.

    Returns:
        Whether they agree, by how much they differ, and the problem if there is one.
    """
    if candidate.shape != reference.shape:
        return Parity(False, 1.0, f"it answers with shape {candidate.shape}, not {reference.shape}")
    deviation = float(np.abs(candidate - reference).max())
    if not deviation <= TOLERANCES[precision]:
        return Parity(False, deviation, f"a score differs by {deviation:.2g}")
    chosen = np.take_along_axis(reference, candidate.argmax(axis=1)[:, None], axis=1)[:, 0]
    if precision == "fp32" and (chosen < reference.max(axis=1) * (1 - TIE)).any():
        return Parity(False, deviation, "another class is the best one")
    return Parity(True, deviation)


def _check(
    load: Callable[[], S],
    crops: npt.NDArray[np.uint8],
    reference: npt.NDArray[np.float32],
    precision: Precision,
) -> tuple[S | None, Parity, bool]:
    """Check one backend.

    Returns:
        The backend, unless it could not answer; how well it agreed; and whether the result can be
        kept, since it will be the same next time.
    """
    try:
        candidate = load()
        scores = candidate.scores(crops)
    except Exception as error:  # noqa: BLE001 - each library has its own error for "not supported"
        # A full disk, or too little memory, says nothing about the model.
        temporary = isinstance(error.__cause__ or error, OSError | MemoryError | ImportError)
        lasting = not temporary and _NO_MEMORY.search(str(error)) is None
        return None, Parity(False, 1.0, own_sentence(error)), lasting
    return candidate, compare(scores, reference, precision), True


def _blend(grid: npt.NDArray[np.float64], at: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Rows of a grid at fractional positions."""
    index = at.astype(int)
    share = (at - index)[:, None, None]
    blended: npt.NDArray[np.float64] = grid[index] * (1 - share) + grid[index + 1] * share
    return blended
