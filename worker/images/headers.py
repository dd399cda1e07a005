"""How many pixels a file announces, read from its header without decoding one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from worker.errors import JobError, Reason
from worker.images.formats import ImageFormat, sniff
from worker.images.jpeg import read_jpeg_header
from worker.images.png import read_png_size
from worker.images.tiff_cost import decoded_bytes
from worker.images.tiff_layout import Layout, read_layout
from worker.images.tiff_support import check_supported

__all__ = ["Header", "damaged", "read_header"]


_RUN_LENGTHS = frozenset({1, 2})
"""Compression methods of BMP: run lengths of 8 and of 4 bits."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a file's header announces.

    Attributes:
        width: pixels per row as stored, before any orientation is applied.
        height: rows as stored.
        orientation: EXIF orientation of a JPEG or TIFF, 1 to 8; 1 for the other formats, whose
            decoder applies it.
        tiff: how a TIFF is laid out.
    """

    format: ImageFormat
    width: int
    height: int
    orientation: int = 1
    tiff: Layout | None = None

    @property
    def decoded_bytes(self) -> int:
        """Most bytes that decoding holds at a time, the image included."""
        return decoded_bytes(self.tiff) if self.tiff else self.width * self.height * 3

    @property
    def coded_pixels(self) -> int:
        """Pixels that are decoded: of a tiled TIFF those of whole tiles."""
        return self.tiff.coded_pixels if self.tiff else self.width * self.height


def read_header(data: bytes) -> Header:
    """Format and dimensions of `data`.

    Raises:
        JobError: `NOT_AN_IMAGE`, or `CORRUPT_IMAGE` when the header is cut off or makes no sense.
    """
    found = sniff(data)
    try:
        header = _READERS[found](data)
    except ValueError as error:
        raise damaged(found, str(error)) from error
    if header.width < 1 or header.height < 1:
        raise damaged(found, f"its header says {header.width}x{header.height} pixels")
    return header


def damaged(found: ImageFormat, why: str) -> JobError:
    """The error for a file that is an image, but not a whole one."""
    return JobError(
        Reason.CORRUPT_IMAGE,
        f"the {found} file is cut off or damaged ({why}): send the whole file, or save it as JPEG "
        "or PNG",
    )


def _jpeg(data: bytes) -> Header:
    header = read_jpeg_header(data)
    return Header(ImageFormat.JPEG, header.width, header.height, header.orientation)


def _png(data: bytes) -> Header:
    return Header(ImageFormat.PNG, *read_png_size(data))


def _webp(data: bytes) -> Header:
    match data[12:16]:
        case b"VP8X":
            width, height = _number(data, 24, 3) + 1, _number(data, 27, 3) + 1
        case b"VP8L":
            packed = _number(data, 21, 4)
            width, height = (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
        case b"VP8 ":
            width, height = _number(data, 26, 2) & 0x3FFF, _number(data, 28, 2) & 0x3FFF
        case _:
            raise ValueError("its header is missing")
    return Header(ImageFormat.WEBP, width, height)


def _bmp(data: bytes) -> Header:
    if _number(data, 14, 4) == 12:
        return Header(ImageFormat.BMP, _number(data, 18, 2), _number(data, 20, 2))
    # OpenCV takes a run-length encoded file that is cut off for a whole one; such a file must say
    # where its pixels begin and how many bytes they take.
    if _number(data, 30, 4) in _RUN_LENGTHS and _number(data, 10, 4) + _number(data, 34, 4) > len(
        data
    ):
        raise ValueError("its end is missing")
    # A negative height means rows from top to bottom.
    width, height = (_number(data, at, 4, signed=True) for at in (18, 22))
    return Header(ImageFormat.BMP, width, abs(height))


def _gif(data: bytes) -> Header:
    return Header(ImageFormat.GIF, _number(data, 6, 2), _number(data, 8, 2))


def _tiff(data: bytes) -> Header:
    layout = read_layout(data)
    check_supported(layout)
    return Header(ImageFormat.TIFF, layout.width, layout.height, layout.orientation, layout)


_READERS: Mapping[ImageFormat, Callable[[bytes], Header]] = {
    ImageFormat.JPEG: _jpeg,
    ImageFormat.PNG: _png,
    ImageFormat.WEBP: _webp,
    ImageFormat.BMP: _bmp,
    ImageFormat.GIF: _gif,
    ImageFormat.TIFF: _tiff,
}


def _number(data: bytes, at: int, size: int, *, signed: bool = False) -> int:
    if len(data) < at + size:
        raise ValueError("it ends within its header")
    return int.from_bytes(data[at : at + size], "little", signed=signed)
