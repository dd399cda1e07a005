"""The little of JPEG that is needed without decoding: dimensions, orientation, number of scans."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from worker.images.tiff import first_directory

__all__ = ["MAX_SCANS", "JpegHeader", "read_jpeg_header"]

MAX_SCANS = 100
"""Most scans of one image. Real progressive files have about ten; each one costs a pass over all
pixels, so a small file with thousands of them would hold a decoder for minutes."""

_MAX_SEGMENTS = 4096
_ORIENTATION = 0x0112
_APP1, _SOS, _EOI = 0xE1, 0xDA, 0xD9
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Start-of-frame markers; C4, C8 and CC are tables and an extension."""
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
# In entropy-coded data FF is followed by 00 (a stuffed FF) or by D0 to D7 (restarts).
_MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])")


@dataclass(frozen=True, slots=True)
class JpegHeader:
    """What a JPEG file says about itself.

    Attributes:
        width: pixels per row as stored, before the orientation is applied.
        height: rows as stored.
        orientation: EXIF orientation, 1 to 8; 1 when absent or out of range.
    """

    width: int
    height: int
    orientation: int


def read_jpeg_header(data: bytes) -> JpegHeader:
    """Read the header of a JPEG file.

    Raises:
        ValueError: it ends before its frame header, or has more than `MAX_SCANS` scans.
    """
    size: tuple[int, int] | None = None
    orientation: int | None = None
    components, several_scans = 0, True
    for marker, start, end in _segments(data):
        if marker == _APP1 and orientation is None and data.startswith(b"Exif\0\0", start):
            orientation = _orientation(data[start + 6 : end])
        elif marker in _FRAMES and end - start >= 6:
            height = int.from_bytes(data[start + 1 : start + 3], "big")
            size = (int.from_bytes(data[start + 3 : start + 5], "big"), height)
            components = data[start + 5]
            several_scans = marker in _PROGRESSIVE
        elif marker == _SOS:
            # A sequential image whose first scan has all components has no other scan.
            several_scans = several_scans or data[start : start + 1] != bytes([components])
            break
    if size is None:
        raise ValueError("it ends before its frame header")
    # Counting bytes also counts thumbnails and trailing data; only a suspicious file is walked.
    if several_scans and data.count(b"\xff\xda") > MAX_SCANS and _has_too_many_scans(data):
        raise ValueError(f"it has more than {MAX_SCANS} scans")
    return JpegHeader(size[0], size[1], orientation or 1)


def _has_too_many_scans(data: bytes) -> bool:
    scans = 0
    for marker, _, _ in _segments(data):
        scans += marker == _SOS
        if scans > MAX_SCANS:
            return True
    return False


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Each marker segment up to the end of the image: marker, start and end of its content."""
    position = 2
    for _ in range(_MAX_SEGMENTS):
        match = _MARKER.search(data, position)
        if match is None or match.group(1)[0] == _EOI:
            return
        position = match.end()
        marker = match.group(1)[0]
        if marker in _STANDALONE:
            continue
        end = position + max(2, int.from_bytes(data[position : position + 2], "big"))
        yield marker, position + 2, min(end, len(data))
        position = end
    raise ValueError(f"it has more than {_MAX_SEGMENTS} segments")


def _orientation(exif: bytes) -> int | None:
    try:
        value = first_directory(exif, (_ORIENTATION,)).get(_ORIENTATION)
    except ValueError:
        # Broken metadata is no reason to refuse good pixels.
        return None
    return value if value is not None and 1 <= value <= 8 else None
