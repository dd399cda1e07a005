"""What OpenCV lacks of BMP: pixels packed into bit fields, and the headers of OS/2.

OpenCV 5.0 reads bit fields only behind some headers, ignores unusual masks behind others, and does
not spread 5 or 6 bits over the whole range. So pixels of 16 bits, and those with masks, are
unpacked here; the rest is OpenCV's.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from worker.images.decode_errors import UnsupportedError

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["BmpHeader", "read_bmp_header", "unpack_fields", "with_usual_header"]

_CORE, _USUAL, _OS2 = 12, 40, 64
_RGB, _RLE8, _RLE4, _FIELDS, _ALPHA_FIELDS = 0, 1, 2, 3, 6
_DEPTHS = frozenset({1, 4, 8, 16, 24, 32})
_MASKS_555 = (0x7C00, 0x03E0, 0x001F)
_MASKS_888 = (0xFF0000, 0x00FF00, 0x0000FF)
_BAND = 64
"""Rows unpacked at a time: the numbers on the way are larger than the pixels."""

_FILE = 14
"""Bytes before the header that says how large it is."""


@dataclass(frozen=True, slots=True)
class BmpHeader:
    """What a BMP file says about its pixels.

    Attributes:
        size: bytes of this header.
        width: pixels per row.
        height: rows.
        top_down: whether the first row is the uppermost one.
        depth: bits per pixel.
        start: position of the pixels in the file.
        masks: of red, green and blue in a pixel of 16 or 32 bits that OpenCV would not read
            rightly; None of any other.
    """

    size: int
    width: int
    height: int
    top_down: bool
    depth: int
    start: int
    masks: tuple[int, int, int] | None


def read_bmp_header(data: bytes) -> BmpHeader:
    """Read the headers of a BMP file.

    Returns:
        Size, depth, place and masks of the pixels, checked to make sense.

    Raises:
        UnsupportedError: it is compressed in a way, or of a depth, that nothing here decodes.
        ValueError: it ends before its pixels do, or its bit fields make no sense.
    """
    try:
        start, size = struct.unpack_from("<II", data, 10)
        if size == _CORE:
            width, height, _, depth = struct.unpack_from("<HHHH", data, 18)
            compression = stated = 0
        else:
            width, height, _, depth = struct.unpack_from("<iiHH", data, 18)
            # The short headers of OS/2 end before these, which then are 0.
            compression, stated = struct.unpack("<II", data[30 : _FILE + size][:8].ljust(8, b"\0"))
    except struct.error as error:
        raise ValueError("it ends within its header") from error
    _check_kind(size, depth, compression)
    if start > len(data):
        raise ValueError("its pixels begin beyond its end")
    # OpenCV takes a run-length encoded file that is cut off for a whole one; such a file must say
    # where its pixels begin and how many bytes they take.
    if compression in (_RLE8, _RLE4) and start + stated > len(data):
        raise ValueError("its end is missing")
    masks = _masks(data, depth, compression)
    # A negative height means rows from top to bottom.
    return BmpHeader(size, width, abs(height), height < 0, depth, start, masks)


def unpack_fields(data: bytes, header: BmpHeader) -> npt.NDArray[np.uint8]:
    """Unpack the pixels of a file whose header has masks.

    A field of n bits is spread over the whole range, rounded down, as Pillow does.

    Returns:
        `[H, W, 3] uint8` BGR.

    Raises:
        ValueError: it ends before its pixels do.
    """
    assert header.masks is not None, "asked of files with bit fields only"
    bytes_per_row = (header.width * header.depth + 31) // 32 * 4
    if header.start + bytes_per_row * header.height > len(data):
        raise ValueError("its end is missing")
    kind = np.dtype(f"<u{header.depth // 8}")
    packed: npt.NDArray[np.uint32] = np.ndarray(
        (header.height, header.width),
        kind,
        data,
        header.start,
        (bytes_per_row, kind.itemsize),
    )
    if not header.top_down:
        packed = packed[::-1]
    bgr = np.empty((*packed.shape, 3), np.uint8)
    for row in range(0, header.height, _BAND):
        band = packed[row : row + _BAND]
        for channel, mask in zip((2, 1, 0), header.masks, strict=True):
            lowest = (mask & -mask).bit_length() - 1
            field = (band & kind.type(mask)) >> lowest
            # 64 bits, because a field may have all 32.
            bgr[row : row + _BAND, :, channel] = field.astype(np.uint64) * 255 // (mask >> lowest)
    return bgr


def with_usual_header(data: bytes, header: BmpHeader) -> bytes:
    """Replace a header of OS/2 that OpenCV does not know.

    Returns:
        `data` with a header of 40 bytes; `data` itself where its header is known.
    """
    if header.size in (_CORE, _OS2) or header.size >= _USUAL:
        return data
    info = data[_FILE : _FILE + header.size].ljust(_USUAL, b"\0")
    shift = _USUAL - header.size
    return b"".join(
        (
            data[:10],
            struct.pack("<II", header.start + shift, _USUAL),
            info[4:],
            data[_FILE + header.size :],
        )
    )


def _check_kind(size: int, depth: int, compression: int) -> None:
    if depth not in _DEPTHS:
        raise UnsupportedError(f"of {depth} bits per pixel")
    known = {_RGB, _RLE8, _RLE4, _FIELDS, _ALPHA_FIELDS}
    if size == _OS2 or size < _USUAL:
        known -= {_FIELDS, _ALPHA_FIELDS}  # in OS/2 these numbers mean fax
    if compression not in known:
        raise UnsupportedError(f"compressed by method {compression}")
    if compression in (_FIELDS, _ALPHA_FIELDS) and depth not in (16, 32):
        raise ValueError(f"it has bit fields in {depth} bits")


def _masks(data: bytes, depth: int, compression: int) -> tuple[int, int, int] | None:
    if compression in (_FIELDS, _ALPHA_FIELDS):
        try:
            red, green, blue = struct.unpack_from("<III", data, _FILE + _USUAL)
        except struct.error as error:
            raise ValueError("it ends within its header") from error
        masks = red, green, blue
        if not all(_is_run_of_ones(mask, depth) for mask in masks):
            raise ValueError("its bit fields make no sense")
        usual = masks == _MASKS_888 and depth == 32 and compression == _FIELDS
        return None if usual else masks
    return _MASKS_555 if depth == 16 and compression == _RGB else None


def _is_run_of_ones(mask: int, depth: int) -> bool:
    run = mask // (mask & -mask) if mask else 0
    return 0 < mask < 1 << depth and run & (run + 1) == 0
