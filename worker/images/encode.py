"""From pixels to the bytes of a file, in the format that the file's name asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from worker.image_formats import WRITABLE_SUFFIXES, ImageFormat
from worker.images.codecs import Image, cv2
from worker.images.jpeg_encode import encode_jpeg
from worker.images.memory import check_free, raising_memory_errors

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["PillowImage", "as_pillow", "encode"]

PillowImage = Image.Image

_OPTIONS: Mapping[str, tuple[int, ...]] = {
    # Above 100 is lossless.
    ".webp": (cv2.IMWRITE_WEBP_QUALITY, 101),
}
_PEAK, _WEBP_PEAK = 3, 14
"""Times the pixels' own bytes that writing them takes, in most formats and in lossless WebP."""


def encode(bgr: npt.NDArray[np.uint8], suffix: str, quality: int) -> bytes:
    """Encode an image.

    Args:
        bgr: `[H, W, 3] uint8` BGR.
        suffix: one of `WRITABLE_SUFFIXES`.
        quality: of JPEG, 1 to 100; the other formats are written without loss.

    Returns:
        The file's bytes.

    Raises:
        ValueError: the format is not written, or cannot hold an image of this size.
        MemoryError: there is no memory left.
    """
    if suffix in ImageFormat.JPEG.suffixes:
        with raising_memory_errors():
            return encode_jpeg(np.ascontiguousarray(bgr), quality)
    if suffix not in WRITABLE_SUFFIXES:
        raise ValueError(
            f"pictures are not written as {suffix!r}: use {', '.join(sorted(WRITABLE_SUFFIXES))}"
        )
    # OpenCV ends the process when some of these get no memory half-way.
    check_free((_WEBP_PEAK if suffix == ".webp" else _PEAK) * bgr.nbytes)
    done, data = cv2.imencode(suffix, np.ascontiguousarray(bgr), _OPTIONS.get(suffix, ()))
    if not done:
        raise ValueError(
            f"a {suffix} file cannot hold {bgr.shape[1]}x{bgr.shape[0]} pixels: use .png"
        )
    return data.tobytes()


def as_pillow(bgr: npt.NDArray[np.uint8]) -> PillowImage:
    """Turn pixels into a Pillow image.

    Returns:
        The image, in mode RGB.
    """
    return Image.fromarray(cv2.cvtColor(np.ascontiguousarray(bgr), cv2.COLOR_BGR2RGB))
