"""OpenCV's bilinear filter, for the part of the scaled image that is wanted: equal in every pixel.

A scaled pixel is made of the four that are nearest to its centre, so only these need be read. A
part is scaled by what the whole would be. Where its pixels lie OpenCV computes in single precision;
it must be the same number, or its fraction, whether the whole is scaled or the part.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from worker.images.codecs import cv2

if TYPE_CHECKING:
    import numpy.typing as npt

    from worker.images.pillow_bicubic import Span

__all__ = ["bilinear"]

_EXACT = 2**22
"""A side in units of its smallest step up to which single precision holds every place: a quarter of
its whole numbers, since places lie at halves of a step."""


def bilinear(
    pixels: npt.NDArray[np.uint8], size: tuple[int, int], columns: Span, rows: Span
) -> npt.NDArray[np.uint8]:
    """Scale an image and cut a part out.

    Args:
        pixels: `[H, W, 3] uint8`.
        size: `(width, height)` of the whole scaled image.
        columns: the part's columns in it.
        rows: the part's rows in it.

    Returns:
        `[rows, columns, 3] uint8`.
    """
    height, width = pixels.shape[:2]
    left, across = _needed(width, size[0], columns)
    top, down = _needed(height, size[1], rows)
    source = pixels[slice(*down), slice(*across)]
    scaled = cv2.resize(
        source, None, fx=size[0] / width, fy=size[1] / height, interpolation=cv2.INTER_LINEAR
    )
    if scaled.shape == source.shape:
        # OpenCV has only copied it, though the whole may change in size. A centre never gets here.
        left, top = 0, 0
        scaled = cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR)
    # There may be more columns and rows at the end, of pixels that lack neighbours.
    part = scaled[rows[0] - top : rows[1] - top, columns[0] - left : columns[1] - left]
    return np.asarray(part, np.uint8)


def _needed(source: int, target: int, wanted: Span) -> tuple[int, Span]:
    """The pixels of a side that are read, and where in the scaled side what they make begins."""
    common = math.gcd(source, target)
    step, taken = target // common, source // common
    # Each `step` scaled pixels are made of `taken` ones, the next ones in the same way. Only if
    # `step` is a power of two are places exact, with the same fraction wherever counting begins. If
    # the side becomes longer, the first pixel is made of the one before it, too.
    exact = step & (step - 1) == 0 and step * source <= _EXACT and target <= source
    steps = wanted[0] // step if exact else 0
    # The last one is made of this pixel and the next; one more, since this is not computed exactly.
    last = math.floor((wanted[1] - 0.5) * source / target - 0.5)
    return steps * step, (steps * taken, min(source, last + 3))
