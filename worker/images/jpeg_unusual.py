"""JPEG of samplings that TurboJPEG does not know: decoded by OpenCV, which reports no warnings.

Missing pixels are found by trial: a complete image decodes to the same pixels with more data behind
it, and to others with less.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from worker.images.codecs import cv2

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["decode_unusual"]

_END = b"\xff\xd9"
_MORE = bytes((step * 167 + 91) % 255 for step in range(255))
"""Entropy-coded data that any missing block would take for its coefficients."""
_LESS = 8
"""Bytes without which a block must be missing."""


def decode_unusual(plain: bytes) -> npt.NDArray[np.uint8]:
    """Decode a file with unusual sampling.

    Args:
        plain: a JPEG file without oddities or metadata.

    Returns:
        `[H, W, 3] uint8` BGR.

    Raises:
        ValueError: it is cut off or damaged.
        MemoryError: OpenCV got no memory, and said so.
    """
    if not plain.endswith(_END):
        raise ValueError("Premature end of JPEG file")
    body = plain[: -len(_END)]
    pixels = _decode(plain)
    if not pixels.size:
        raise ValueError("it cannot be decoded")
    if not np.array_equal(pixels, _decode(body + _MORE + _END)):
        raise ValueError("premature end of data segment")
    if np.array_equal(pixels, _decode(body[:-_LESS] + _END)):
        raise ValueError("extraneous bytes before its end")
    return pixels


def _decode(data: bytes) -> npt.NDArray[np.uint8]:
    """The pixels; nothing when there are none."""
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_BGR)
    return np.empty(0, np.uint8) if pixels is None else np.asarray(pixels, np.uint8)
