"""From an encoded image to pixels, or to an answer that says why not.

JPEG goes through simplejpeg (libjpeg-turbo), twice as fast as OpenCV and equal to it in every
pixel; TIFF through the codecs of imagecodecs, which report errors; everything else through OpenCV.
All release the GIL while they decode, so a pool of threads decodes in parallel. `docs/images.md`
says what becomes of each odd kind of file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from worker.errors import JobError, Reason
from worker.image_formats import ImageFormat
from worker.images.bmp import read_bmp_header, unpack_fields, with_usual_header
from worker.images.codecs import CODEC_MAX_PIXELS, cv2, simplejpeg
from worker.images.gif import first_frame
from worker.images.headers import Header, read_header
from worker.images.jpeg_repair import without_oddities
from worker.images.jpeg_unusual import decode_unusual
from worker.images.memory import check_free, is_shortage, raising_memory_errors
from worker.images.png import still_png
from worker.images.refusals import UnsupportedError, damaged, unsupported
from worker.images.tiff_decode import decode_tiff

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy.typing as npt

    from worker.settings import DecodeSettings

__all__ = ["check_bytes", "check_size", "decode", "decode_pixels", "inspect"]

_MOST_PADDING = 2
"""How many times the image's own pixels its tiles may have, when they have more than is accepted.

An image of just the accepted size may have tiles that reach beyond its edges.
"""

_MOST_BYTES = 16
"""Bytes that decoding may hold per accepted pixel: 3 of the image, and in one strip up to 8."""

_SMALL_BYTES = 2**27
"""Bytes that decoding may always hold."""

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


def decode(data: bytes, limits: DecodeSettings) -> npt.NDArray[np.uint8]:
    """Decode an image into `[H, W, 3] uint8` BGR, upright.

    Grey is replicated, alpha dropped, 16 bits shifted right by 8, the EXIF orientation applied; of
    several frames or pages the first is taken.

    Raises:
        JobError: `TOO_LARGE` or `TOO_MANY_PIXELS` before a pixel is decoded, `NOT_AN_IMAGE` when
            the format is not known or the kind not decoded here, `CORRUPT_IMAGE` when the file is
            cut off or damaged.
        MemoryError: the process has no memory left for it; the image is not at fault.
    """
    return decode_pixels(data, inspect(data, limits))


def inspect(data: bytes, limits: DecodeSettings) -> Header:
    """What the file announces, found acceptable; nothing is decoded yet.

    Raises:
        JobError: `TOO_LARGE`, `TOO_MANY_PIXELS`, `NOT_AN_IMAGE` or `CORRUPT_IMAGE`.
    """
    check_bytes(data, limits)
    header = read_header(data)
    check_size("the image", header.width, header.height, limits)
    check_cost(header, limits)
    return header


def decode_pixels(data: bytes, header: Header) -> npt.NDArray[np.uint8]:
    """The pixels of a file whose header was found acceptable, as `decode` returns them.

    Raises:
        JobError: `CORRUPT_IMAGE`, or `NOT_AN_IMAGE` for a kind that only now shows.
        MemoryError: the process has no memory left for it.
    """
    try:
        with raising_memory_errors():
            return _DECODERS.get(header.format, _decode_other)(data, header)
    except UnsupportedError as error:
        raise unsupported(header.format, str(error)) from error
    except (ValueError, RuntimeError) as error:
        raise damaged(header.format, str(error)) from error


def check_bytes(data: bytes, limits: DecodeSettings) -> None:
    """Refuse what has too many bytes.

    Raises:
        JobError: `TOO_LARGE`.
    """
    if len(data) > limits.max_bytes:
        raise JobError(
            Reason.TOO_LARGE,
            f"the image has {len(data)} bytes, more than the {limits.max_bytes} accepted; "
            "send a smaller one",
        )


def check_size(what: str, width: int, height: int, limits: DecodeSettings) -> None:
    """Refuse what has too many pixels.

    Args:
        what: begins the message.

    Raises:
        JobError: `TOO_MANY_PIXELS`.
    """
    size = f"{what} is {width}x{height} pixels"
    if max(width, height) > limits.max_side:
        raise JobError(
            Reason.TOO_MANY_PIXELS,
            f"{size}; its longest side may be {limits.max_side}: scale it down",
        )
    most = min(limits.max_pixels, CODEC_MAX_PIXELS)
    if width * height > most:
        raise JobError(
            Reason.TOO_MANY_PIXELS, f"{size}; at most {most} in all are accepted: scale it down"
        )


def check_cost(header: Header, limits: DecodeSettings) -> None:
    """Refuse what makes the decoder hold or make far more than the image itself.

    Raises:
        JobError: `TOO_MANY_PIXELS`.
    """
    most = min(limits.max_pixels, CODEC_MAX_PIXELS)
    image = header.width * header.height
    if header.coded_pixels > max(most, _MOST_PADDING * image):
        raise JobError(
            Reason.TOO_MANY_PIXELS,
            f"the image is {header.width}x{header.height} pixels, but its tiles make "
            f"{header.coded_pixels}; at most {most} are accepted: save it with smaller tiles",
        )
    most_bytes = _MOST_BYTES * most + _SMALL_BYTES
    if header.decoded_bytes > most_bytes:
        raise JobError(
            Reason.TOO_MANY_PIXELS,
            f"decoding the image takes {header.decoded_bytes} bytes; at most {most_bytes} are "
            "accepted: save it with 8 bits per sample and in strips of a few rows",
        )


def _decode_jpeg(data: bytes, header: Header) -> npt.NDArray[np.uint8]:
    return _upright(_decode_scans(data), header.orientation)


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


def _decode_png(data: bytes, header: Header) -> npt.NDArray[np.uint8]:
    return _decode_other(still_png(data), header)


def _decode_gif(data: bytes, header: Header) -> npt.NDArray[np.uint8]:
    return _decode_other(first_frame(data), header)


def _decode_bmp(data: bytes, header: Header) -> npt.NDArray[np.uint8]:
    bmp = read_bmp_header(data)
    if bmp.masks is not None:
        return unpack_fields(data, bmp)
    return _decode_other(with_usual_header(data, bmp), header)


def _decode_tiff(data: bytes, header: Header) -> npt.NDArray[np.uint8]:
    assert header.tiff is not None
    try:
        pixels = decode_tiff(data, header.tiff)
    except RuntimeError as error:
        raise ValueError(str(error)) from error
    return _upright(pixels, header.orientation)


def _decode_other(data: bytes, header: Header) -> npt.NDArray[np.uint8]:
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


_DECODERS: Mapping[ImageFormat, Callable[[bytes, Header], npt.NDArray[np.uint8]]] = {
    ImageFormat.JPEG: _decode_jpeg,
    ImageFormat.PNG: _decode_png,
    ImageFormat.GIF: _decode_gif,
    ImageFormat.BMP: _decode_bmp,
    ImageFormat.TIFF: _decode_tiff,
}


def _upright(pixels: npt.NDArray[np.uint8], orientation: int) -> npt.NDArray[np.uint8]:
    """`pixels` turned and mirrored as EXIF orientation 1 to 8 asks."""
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
