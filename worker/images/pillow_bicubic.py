"""Pillow's bicubic filter, for the part of the scaled image that is wanted: equal in every pixel.

Pillow computes in whole numbers, with coefficients of 22 bits, pixel by pixel and of the whole
image. Here matrix products in single precision give nearly the same values, many times as fast. A
value so near to where rounding changes that their error could matter is computed again as Pillow
does; that is one of some thousand.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from worker.images.codecs import cv2

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    _Planes = npt.NDArray[np.float32]

__all__ = ["Span", "bicubic", "is_suitable"]

Span = tuple[int, int]
"""The first of some columns or rows, and the one behind the last."""

_BITS = 22
"""Of Pillow's coefficients, behind the point."""

_REACH = 2.0
"""Pixels of the scaled image, to both sides, that the filter takes in."""

_TALL, _SQUEEZED = 1.5, 1.1
"""Height over width, and how much more the height is scaled down, up to which every Pillow scales
along rows first and then along columns, with rounding in between; beyond, Pillow 13 turns this
round."""

_MOST = 64
"""How many times smaller a side may become: filters grow with it."""

_BLOCK = 16
"""Columns or rows computed in one product: more would multiply too many zeros."""

_CHUNK = 2**16
"""Pixels scaled at a time, about, so that they stay in the processor's cache."""

_PRODUCTS = 2**17
"""Pixels times coefficients that are computed precisely at a time: all are doubtful where rows
alternate between neighbouring values, as in a dithered image."""

_OVERSHOOT = 1.5
"""More than the sum of any pixel's coefficients without their signs."""


def is_suitable(source: tuple[int, int], target: tuple[int, int]) -> bool:
    """Tell whether `bicubic` does it as Pillow does, for `(width, height)` before and after.

    Returns:
        Whether the image is scaled down, is not tall, its height is not scaled much more than its
        width, and neither is scaled to almost nothing.
    """
    (width, height), (new_width, new_height) = source, target
    return (
        new_width < width <= _MOST * new_width
        and new_height < height <= _MOST * new_height
        and height <= _TALL * width
        and height * new_width <= _SQUEEZED * width * new_height
    )


def bicubic(
    pixels: npt.NDArray[np.uint8], size: tuple[int, int], columns: Span, rows: Span
) -> npt.NDArray[np.uint8]:
    """Scale an image and cut a part out.

    Args:
        pixels: `[H, W, 3] uint8`, for which `is_suitable`.
        size: `(width, height)` of the whole scaled image.
        columns: the part's columns in it.
        rows: the part's rows in it.

    Returns:
        `[rows, columns, 3] uint8`.
    """
    height, width = pixels.shape[:2]
    across, down = _filter(width, size[0], columns), _filter(height, size[1], rows)
    (left, right), (top, bottom) = across.source, down.source
    # Invariant: whole numbers from 0 to 255, each channel a plane.
    scaled = np.empty((3, bottom - top, columns[1] - columns[0]), np.float32)
    step = min(max(64, _CHUNK // (right - left)), 128)
    for first in range(top, bottom, step):
        last = min(first + step, bottom)
        planes = np.empty((3, last - first, right - left), np.float32)
        for plane, channel in zip(planes, cv2.split(pixels[first:last, left:right]), strict=True):
            plane[:] = channel
        across.along_rows(planes, scaled[:, first - top : last - top])
    part = np.empty((3, rows[1] - rows[0], scaled.shape[2]), np.float32)
    down.along_columns(scaled, part)
    return np.asarray(cv2.merge(list(part.astype(np.uint8))), np.uint8)


@dataclass(frozen=True, slots=True)
class _Filter:
    """What makes a part of one side.

    Attributes:
        source: the pixels that it takes.
        starts: for each pixel of the part the first one that it takes, from the source's first.
        coefficients: `[pixels, taps] int64`, in units of 2**-22; 0 where there is none.
        blocks: the same as matrices `[taken, pixels] float32`, each behind where what it takes
            begins, and where what it makes begins.
        tolerance: how far the matrices' results may be off.
    """

    source: Span
    starts: npt.NDArray[np.intp]
    coefficients: npt.NDArray[np.int64]
    blocks: tuple[tuple[int, int, npt.NDArray[np.float32]], ...]
    tolerance: float

    def along_rows(self, planes: _Planes, out: _Planes) -> None:
        """Filter `[3, N, source]` to `[3, N, pixels]`."""
        lines, made = planes.reshape(-1, planes.shape[2]), np.empty(out.shape, np.float32)
        flat = made.reshape(-1, out.shape[2])
        for start, at, matrix in self.blocks:
            taken = lines[:, start : start + len(matrix)]
            np.matmul(taken, matrix, out=flat[:, at : at + matrix.shape[1]])
        for plane, row, pixel in self._round(made, out):
            taken = planes[plane[:, np.newaxis], row[:, np.newaxis], self._taken(pixel)]
            out[plane, row, pixel] = self._precisely(taken, pixel)

    def along_columns(self, planes: _Planes, out: _Planes) -> None:
        """Filter `[3, source, N]` to `[3, pixels, N]`."""
        made = np.empty(out.shape, np.float32)
        for start, at, matrix in self.blocks:
            taken = planes[:, start : start + len(matrix)]
            made[:, at : at + matrix.shape[1]] = np.matmul(matrix.T, taken)
        for plane, pixel, column in self._round(made, out):
            taken = planes[plane[:, np.newaxis], self._taken(pixel), column[:, np.newaxis]]
            out[plane, pixel, column] = self._precisely(taken, pixel)

    def _round(self, made: _Planes, out: _Planes) -> Iterator[tuple[npt.NDArray[np.intp], ...]]:
        """Round to what can be a pixel.

        Yields:
            Where that may be wrong, so many at a time that few bytes are taken.
        """
        rounded = np.rint(made)
        made -= rounded
        np.clip(rounded, 0, 255, out=out)
        doubtful = np.flatnonzero(np.abs(made, out=made) > 0.5 - self.tolerance)
        step = max(1, _PRODUCTS // self.coefficients.shape[1])
        for first in range(0, len(doubtful), step):
            yield np.unravel_index(doubtful[first : first + step], made.shape)

    def _taken(self, pixel: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
        """Which pixels those of the part take; `[N, taps]`."""
        taps = np.arange(self.coefficients.shape[1])
        # Where there is no coefficient there may be no pixel.
        most = self.source[1] - self.source[0] - 1
        taken: npt.NDArray[np.intp] = np.minimum(self.starts[pixel][:, np.newaxis] + taps, most)
        return taken

    def _precisely(self, taken: _Planes, pixel: npt.NDArray[np.intp]) -> npt.NDArray[np.int64]:
        """Pillow's own arithmetic."""
        total = np.sum(taken.astype(np.int64) * self.coefficients[pixel], axis=1, dtype=np.int64)
        total += 1 << (_BITS - 1)
        total >>= _BITS
        rounded: npt.NDArray[np.int64] = np.clip(total, 0, 255)
        return rounded


@lru_cache(maxsize=32)  # images often have the same size; each takes 50 KB to 1 MB
def _filter(source: int, target: int, wanted: Span) -> _Filter:
    scale = source / target
    support = _REACH * scale
    centres = (np.arange(*wanted) + 0.5) * scale
    first = np.maximum((centres - support + 0.5).astype(np.intp), 0)
    last = np.minimum((centres + support + 0.5).astype(np.intp), source)
    taps = np.arange(math.ceil(support) * 2 + 1)
    places = first[:, np.newaxis] + taps
    weights = _bicubic((places - centres[:, np.newaxis] + 0.5) * (1.0 / scale))
    weights[places >= last[:, np.newaxis]] = 0.0
    weights /= np.sum(weights, axis=1, keepdims=True)
    coefficients = np.trunc(weights * 2**_BITS + np.copysign(0.5, weights)).astype(np.int64)
    starts = first - first[0]
    blocks = []
    for made in range(0, len(starts), _BLOCK):
        block = slice(made, made + _BLOCK)
        begin, end = int(starts[made]), int(last[block][-1] - first[0])
        matrix = np.zeros((end - begin + len(taps), len(starts[block])), np.float32)
        columns = np.arange(matrix.shape[1])[:, np.newaxis]
        matrix[starts[block][:, np.newaxis] - begin + taps, columns] = coefficients[block]
        blocks.append((begin, made, matrix[: end - begin] / np.float32(2**_BITS)))
    # Of a sum in single precision, in any order, and of its coefficients, twice.
    tolerance = 2 * (len(taps) + 2) * 2.0**-24 * 255 * _OVERSHOOT
    span = int(first[0]), int(last[-1])
    return _Filter(span, starts, coefficients, tuple(blocks), tolerance)


def _bicubic(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Keys's cubic with a = -0.5."""
    x = np.abs(x)
    near = ((-0.5 + 2.0) * x - (-0.5 + 3.0)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * -0.5
    return np.where(x < 1.0, near, np.where(x < 2.0, far, 0.0))


# OpenBLAS takes its own memory with the first product of some size, and ends the process if there
# is none. This is before any image is there, and before memory is limited.
np.ones((768, 256), np.float32) @ np.ones((256, _BLOCK), np.float32)
