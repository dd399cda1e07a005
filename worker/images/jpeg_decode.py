"""JPEG by simplejpeg (libjpeg-turbo): twice as fast as OpenCV and equal to it in every pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from worker.images.codecs import cv2, simplejpeg
from worker.images.decode_errors import UnsupportedError
from worker.images.jpeg_repair import without_oddities
from worker.images.jpeg_unusual import decode_unusual
from worker.images.orientation import upright

if TYPE_CHECKING:
    import numpy.typing as npt

    from worker.images.announced_size import Header

__all__ = ["decode_jpeg"]

# libjpeg's warnings about odd headers and stray bytes, which may leave every pixel as it was.
_ODD = (
    "unknown JFIF revision",
    "Unknown Adobe color transform",
    "extraneous bytes before marker",
    "Invalid SOS parameters",
    "ICC",
)
_UNUSUAL_SAMPLING = "Could not determine subsampling"
_UNUSUAL_COLOURS = "Unsupported color conversion"


def decode_jpeg(data: bytes, header: Header) -> npt.NDArray[np.uint8]:
    """Decode a JPEG file.

    Returns:
        `[H, W, 3] uint8` BGR, upright.

    Raises:
        ValueError: it is damaged; `UnsupportedError` when it is of a rare kind.
        RuntimeError: the same, from TurboJPEG.
    """
    return upright(_decode_scans(data), header.orientation)


def _decode_scans(data: bytes) -> npt.NDArray[np.uint8]:
    """The pixels as stored.

    An oddity is taken out and the rest decoded strictly: libjpeg tells only its first warning, so
    that behind a harmless one all others would pass.
    """
    try:
        return _decode_strictly(data)
    except ValueError as error:
        if _UNUSUAL_SAMPLING in str(error):
            return decode_unusual(without_oddities(data, padding=False))
        if not _is_odd(error):
            raise
    try:
        return _decode_strictly(without_oddities(data))
    except ValueError as error:
        if not _is_odd(error):
            raise
    return _decode_strictly(without_oddities(data, padding=False))


def _is_odd(error: ValueError) -> bool:
    return any(warning in str(error) for warning in _ODD)


def _decode_strictly(data: bytes) -> npt.NDArray[np.uint8]:
    try:
        bgr: npt.NDArray[np.uint8] = simplejpeg.decode_jpeg(data, colorspace="BGR")
        return bgr
    except ValueError as error:
        if _UNUSUAL_COLOURS not in str(error):
            raise
    # TurboJPEG converts no colours of lossless files, but grey needs none.
    try:
        grey = simplejpeg.decode_jpeg(data, colorspace="GRAY")
    except ValueError as error:
        if _UNUSUAL_COLOURS not in str(error):
            raise
        raise UnsupportedError("lossless with colours other than RGB") from error
    return np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), np.uint8)
