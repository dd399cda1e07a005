"""How many pixels a file announces, read from its header without decoding one.

The readers raise ValueError for a header that is cut off or makes no sense, and `UnsupportedError`
for a kind of image that is not decoded here.
"""

from __future__ import annotations

from dataclasses import dataclass

from worker.image_formats import ImageFormat
from worker.images.bmp import read_bmp_header
from worker.images.gif import read_gif_size
from worker.images.jpeg import read_jpeg_header
from worker.images.png import read_png_size
from worker.images.tiff_cost import decoded_bytes
from worker.images.tiff_layout import Layout, read_layout
from worker.images.tiff_support import check_supported

__all__ = [
    "Header",
    "read_bmp",
    "read_gif",
    "read_jpeg",
    "read_png",
    "read_tiff",
    "read_webp",
]


@dataclass(frozen=True, slots=True)
class Header:
    """What a file's header announces.

    Attributes:
        width: pixels per row as stored, before any orientation is applied.
        height: rows as stored.
        decoded_bytes: memory that decoding takes at its peak, besides the file itself.
        orientation: EXIF orientation of a JPEG or TIFF, 1 to 8; 1 for the other formats, whose
            decoder applies it.
        tiff: how a TIFF is laid out.
    """

    format: ImageFormat
    width: int
    height: int
    decoded_bytes: int
    orientation: int = 1
    tiff: Layout | None = None

    @property
    def coded_pixels(self) -> int:
        """Pixels that are decoded: of a tiled TIFF those of whole tiles."""
        return self.tiff.coded_pixels if self.tiff else self.width * self.height


# Bytes per pixel were measured at the decoders' peak: OpenCV keeps the pixels twice for a while.


def read_jpeg(data: bytes) -> Header:
    """Read the header of a JPEG file."""
    header = read_jpeg_header(data)
    peak = 3 + (4 if header.components == 4 else 0) + 2 * header.coefficients
    if header.orientation > 1:
        peak = max(peak, 6)
    return _header(ImageFormat.JPEG, header.width, header.height, peak, header.orientation)


def read_png(data: bytes) -> Header:
    """Read the header of a PNG file."""
    return _header(ImageFormat.PNG, *read_png_size(data), 6)


def read_webp(data: bytes) -> Header:
    """Read the header of a WebP file."""
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
    # An animation's first frame is put on a canvas of its own.
    return _header(ImageFormat.WEBP, width, height, 12 if data[12:16] == b"VP8X" else 8)


def read_bmp(data: bytes) -> Header:
    """Read the header of a BMP file."""
    header = read_bmp_header(data)
    peak = 6 if header.masks is None else 4
    return _header(ImageFormat.BMP, header.width, header.height, peak)


def read_gif(data: bytes) -> Header:
    """Read the header of a GIF file."""
    return _header(ImageFormat.GIF, *read_gif_size(data), 9)


def read_tiff(data: bytes) -> Header:
    """Read the header of a TIFF file, that is its first page's directory."""
    layout = read_layout(data)
    check_supported(layout)
    held = decoded_bytes(layout)
    return Header(ImageFormat.TIFF, layout.width, layout.height, held, layout.orientation, layout)


def _header(found: ImageFormat, width: int, height: int, peak: int, orientation: int = 1) -> Header:
    """A header of an image whose decoding takes `peak` bytes per pixel."""
    return Header(found, width, height, width * height * peak, orientation)


def _number(data: bytes, at: int, size: int, *, signed: bool = False) -> int:
    if len(data) < at + size:
        raise ValueError("it ends within its header")
    return int.from_bytes(data[at : at + size], "little", signed=signed)
