"""JPEG inside TIFF: streams without tables, whose colours the TIFF directory names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker.images.codecs import simplejpeg
from worker.images.jpeg import read_jpeg_header

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["UnusualJpegError", "decode_tiff_jpeg"]

_START = b"\xff\xd8"
_JFIF, _ADOBE, _SCAN, _END = 0xE0, 0xEE, 0xDA, 0xD9
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_DECODED = frozenset({0xC0, 0xC1, 0xC2})
"""Frames of Huffman codes: baseline, extended and progressive."""
_COLOUR_SPACES = {1: "GRAY", 3: "RGB", 4: "CMYK"}


class UnusualJpegError(Exception):
    """A JPEG stream of a kind that is not decoded; the message names it."""


def decode_tiff_jpeg(
    data: bytes, tables: bytes, samples: int, most: tuple[int, int], *, ycbcr: bool
) -> npt.NDArray[np.uint8]:
    """Decode a strip or tile.

    Args:
        data: a JPEG stream, maybe without tables.
        tables: a JPEG stream of nothing but tables, or nothing.
        samples: that a pixel must have: 1, 3 or 4.
        most: width and height that the stream may announce.
        ycbcr: whether three samples are YCbCr; they become RGB.

    Returns:
        `[height, width, samples] uint8`.

    Raises:
        ValueError: the stream is damaged, or says something else than the arguments.
        UnusualJpegError: it can be whole, but is not decoded here.
        MemoryError: decoding takes more than there is.
    """
    # libjpeg guesses colours by these markers; in TIFF the directory tells them.
    adobe = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0" + bytes([ycbcr])
    shared, _ = _without_colours(tables) if tables else (b"", None)
    own, frame = _without_colours(data)
    _check_frame(frame, samples, most)
    stream = b"".join((_START, adobe if samples > 1 else b"", shared, own))
    read_jpeg_header(stream)  # refuses what has too many scans
    try:
        pixels: npt.NDArray[np.uint8] = simplejpeg.decode_jpeg(
            stream, colorspace=_COLOUR_SPACES[samples]
        )
    except ValueError as error:
        why = str(error)
        if "memory" in why.lower():
            raise MemoryError(why) from error
        if "subsampling" in why:
            raise UnusualJpegError("JPEG-compressed with an unusual subsampling") from error
        raise
    return pixels


def _without_colours(stream: bytes) -> tuple[bytes, bytes | None]:
    """What follows the start of `stream`, without markers of colour, and its frame segment."""
    if not stream.startswith(_START):
        raise ValueError("a JPEG stream has no beginning")
    kept: list[bytes] = []
    frame, at = None, len(_START)
    while at + 4 <= len(stream) and stream[at] == 0xFF:
        marker = stream[at + 1]
        if marker == _END:
            return b"".join(kept), frame
        end = at + 2 + max(2, int.from_bytes(stream[at + 2 : at + 4], "big"))
        if marker in _FRAMES:
            frame = stream[at + 1 : end]
        if marker == _SCAN:
            kept.append(stream[at:])
            return b"".join(kept), frame
        if marker not in (_JFIF, _ADOBE):
            kept.append(stream[at:end])
        at = end
    if stream[at:].startswith(bytes((0xFF, _END))):
        return b"".join(kept), frame
    raise ValueError("a JPEG stream is cut off")


def _check_frame(frame: bytes | None, samples: int, most: tuple[int, int]) -> None:
    if frame is None or len(frame) < 9:
        raise ValueError("a JPEG stream has no frame header")
    marker, precision, found = frame[0], frame[3], frame[8]
    if marker not in _DECODED or precision != 8:
        kind = "lossless or arithmetic" if marker not in _DECODED else f"{precision}-bit"
        raise UnusualJpegError(f"compressed with {kind} JPEG")
    height, width = (int.from_bytes(frame[at : at + 2], "big") for at in (4, 6))
    if found != samples or not (0 < width <= most[0] and 0 < height <= most[1]):
        raise ValueError(
            f"a JPEG stream says {width}x{height} pixels of {found} samples instead of at most "
            f"{most[0]}x{most[1]} of {samples}"
        )
