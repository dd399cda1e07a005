"""From the samples of a TIFF file to BGR, as Pillow converts them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from worker.images.codecs import cv2
from worker.images.tiff_cost import BLOCK_PIXELS
from worker.images.tiff_tags import Photometric

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy.typing as npt

    from worker.images.tiff_layout import Layout

    _Conversion = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.uint8]]

__all__ = ["ColourConverter"]

_PREMULTIPLIED = 1


class ColourConverter:
    """Converts the pixels of one page.

    Raises:
        ValueError: a palette is missing or cut off.
    """

    def __init__(self, layout: Layout) -> None:
        self._channels = layout.channels
        self._inverted = layout.inverted
        self._premultiplied = layout.extras[:1] == (_PREMULTIPLIED,)
        self._convert: _Conversion
        if layout.colour == Photometric.PALETTE:
            self._convert = partial(_look_up, _palette(layout.colour_map()))
        else:
            self._convert = _CONVERSIONS[layout.colour]

    def write(self, samples: npt.NDArray[np.uint8], out: npt.NDArray[np.uint8]) -> None:
        """Write `[rows, columns, samples]` to `out`, `[rows, columns, 3]`, as BGR."""
        rows = max(1, BLOCK_PIXELS // max(1, out.shape[1]))
        for top in range(0, out.shape[0], rows):
            block = samples[top : top + rows]
            colour = block[:, :, : self._channels]
            if self._inverted:
                colour = ~colour
            if self._premultiplied and block.shape[2] > self._channels:
                colour = _undo_alpha(colour, block[:, :, self._channels])
            out[top : top + rows] = self._convert(np.ascontiguousarray(colour))


def _undo_alpha(
    colour: npt.NDArray[np.uint8], alpha: npt.NDArray[np.uint8]
) -> npt.NDArray[np.uint8]:
    """Colours that were multiplied by alpha, as they were before; clear pixels become black."""
    alpha = alpha[:, :, np.newaxis]
    undone = colour * np.uint16(255) // np.maximum(alpha, 1)
    return np.where(alpha > 0, np.minimum(undone, 255), 0).astype(np.uint8)


def _palette(numbers: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """`[colours, 3] uint8` BGR."""
    table = np.array(numbers, np.uint16).reshape(3, -1)[::-1].T
    # Some writers fill in 8 bits; libtiff recognises them in the same way.
    return (table if table.max() < 256 else table >> 8).astype(np.uint8)


def _look_up(
    palette: npt.NDArray[np.uint8], samples: npt.NDArray[np.uint8]
) -> npt.NDArray[np.uint8]:
    return np.asarray(palette[samples[:, :, 0]])


def _grey(samples: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(samples, cv2.COLOR_GRAY2BGR), np.uint8)


def _rgb(samples: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(samples, cv2.COLOR_RGB2BGR), np.uint8)


def _cmyk(samples: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Naively, without profiles: light that black leaves, less what the ink takes of it."""
    light = np.uint16(255) - samples[:, :, 3:].astype(np.uint16)
    product = samples[:, :, 2::-1] * light + np.uint16(128)
    taken = (product + (product >> 8)) >> 8  # the product divided by 255, rounded
    return (light - taken).astype(np.uint8)


def _lab(samples: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """TIFF has a and b as signed numbers, OpenCV with 128 added."""
    shifted = samples ^ np.array([0, 0x80, 0x80], np.uint8)
    return np.asarray(cv2.cvtColor(shifted, cv2.COLOR_Lab2BGR), np.uint8)


def _ycbcr(samples: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    reordered = np.ascontiguousarray(samples[:, :, [0, 2, 1]])
    return np.asarray(cv2.cvtColor(reordered, cv2.COLOR_YCrCb2BGR), np.uint8)


_CONVERSIONS: Mapping[int, _Conversion] = {
    Photometric.WHITE_IS_ZERO: _grey,
    Photometric.BLACK_IS_ZERO: _grey,
    Photometric.RGB: _rgb,
    Photometric.CMYK: _cmyk,
    Photometric.LAB: _lab,
    Photometric.YCBCR: _ycbcr,
}
