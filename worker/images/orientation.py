"""Turns pixels upright, as a file's EXIF orientation asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from worker.images.codecs import cv2

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["upright"]


def upright(pixels: npt.NDArray[np.uint8], orientation: int) -> npt.NDArray[np.uint8]:
    """Turn and mirror pixels as an EXIF orientation asks.

    Returns:
        The upright pixels; the same array for orientation 1.
    """
    match orientation:
        case 2:
            turned = cv2.flip(pixels, 1)
        case 3:
            turned = cv2.rotate(pixels, cv2.ROTATE_180)
        case 4:
            turned = cv2.flip(pixels, 0)
        case 5:
            turned = cv2.transpose(pixels)
        case 6:
            turned = cv2.rotate(pixels, cv2.ROTATE_90_CLOCKWISE)
        case 7:
            turned = cv2.flip(cv2.transpose(pixels), -1)
        case 8:
            turned = cv2.rotate(pixels, cv2.ROTATE_90_COUNTERCLOCKWISE)
        case _:
            return pixels
    return np.asarray(turned, np.uint8)
