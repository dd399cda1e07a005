"""The decoder of each format: the second half of the table in `worker.image_formats`.

JPEG goes through simplejpeg, TIFF through the codecs of imagecodecs, which report errors, and
everything else through OpenCV. All release the GIL while they decode.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from worker.image_formats import ImageFormat
from worker.images import announced_size
from worker.images.bmp import read_bmp_header, unpack_fields, with_usual_header
from worker.images.codecs import cv2
from worker.images.gif import first_frame
from worker.images.jpeg_decode import decode_jpeg
from worker.images.memory import check_free, is_shortage
from worker.images.orientation import upright
from worker.images.png import still_png
from worker.images.tiff_decode import decode_tiff

if TYPE_CHECKING:
    import numpy.typing as npt

    from worker.images.announced_size import Header

__all__ = ["DECODERS", "Decoder"]


@dataclass(frozen=True, slots=True)
class Decoder:
    """How files of one format are read.

    Both functions raise ValueError for a file that is damaged, and `UnsupportedError` for one of a
    kind that is not decoded here; decoding raises RuntimeError and MemoryError, too.

    Attributes:
        read_header: what a file announces; decodes nothing.
        decode: the pixels of a file with that header, `[H, W, 3] uint8` BGR, upright.
    """

    read_header: Callable[[bytes], Header]
    decode: Callable[[bytes, Header], npt.NDArray[np.uint8]]


def _png(data: bytes, header: Header) -> npt.NDArray[np.uint8]:
    return _with_opencv(still_png(data), header)


def _gif(data: bytes, header: Header) -> npt.NDArray[np.uint8]:
    return _with_opencv(first_frame(data), header)


def _bmp(data: bytes, header: Header) -> npt.NDArray[np.uint8]:
    bmp = read_bmp_header(data)
    if bmp.masks is not None:
        return unpack_fields(data, bmp)
    return _with_opencv(with_usual_header(data, bmp), header)


def _tiff(data: bytes, header: Header) -> npt.NDArray[np.uint8]:
    assert header.tiff is not None
    try:
        pixels = decode_tiff(data, header.tiff)
    except RuntimeError as error:
        raise ValueError(str(error)) from error
    return upright(pixels, header.orientation)


def _with_opencv(data: bytes, header: Header) -> npt.NDArray[np.uint8]:
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_BGR)
    except cv2.error as error:
        if is_shortage(error):
            raise
        raise ValueError(error.err or "it cannot be decoded") from error
    if pixels is None:
        check_free(header.decoded_bytes)
        raise ValueError("it cannot be decoded")
    return np.asarray(pixels, np.uint8)


DECODERS: Mapping[ImageFormat, Decoder] = {
    ImageFormat.JPEG: Decoder(announced_size.read_jpeg, decode_jpeg),
    ImageFormat.PNG: Decoder(announced_size.read_png, _png),
    ImageFormat.WEBP: Decoder(announced_size.read_webp, _with_opencv),
    ImageFormat.BMP: Decoder(announced_size.read_bmp, _bmp),
    ImageFormat.GIF: Decoder(announced_size.read_gif, _gif),
    ImageFormat.TIFF: Decoder(announced_size.read_tiff, _tiff),
}
