"""The little of JPEG that is needed without decoding: dimensions, orientation, kind, its scans."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from worker.images.decode_errors import UnsupportedError
from worker.images.tiff import first_directory

__all__ = [
    "APP0",
    "APP14",
    "APP15",
    "COM",
    "EOI",
    "FRAMES",
    "MAX_SCANS",
    "SEQUENTIAL",
    "SOS",
    "JpegHeader",
    "Segment",
    "read_jpeg_header",
    "segments",
]

MAX_SCANS = 100
"""Most scans of one image. Real progressive files have about ten; each one costs a pass over all
pixels, so a small file with thousands of them would hold a decoder for minutes."""

APP0, APP14, APP15, COM = 0xE0, 0xEE, 0xEF, 0xFE
SOS, EOI = 0xDA, 0xD9
SEQUENTIAL = frozenset({0xC0, 0xC1, 0xC9})
"""Start-of-frame markers of images whose scans hold whole coefficients."""

_MAX_SEGMENTS = 4096
_ORIENTATION = 0x0112
_APP1, _DHP = 0xE1, 0xDE
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Start-of-frame markers; C4, C8 and CC are tables and an extension."""
_PROGRESSIVE = frozenset({0xC2, 0xCA})
_RARE = {
    **dict.fromkeys((0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF, _DHP), "hierarchical"),
    0xCB: "lossless with arithmetic coding",
    0xF7: "JPEG-LS",
}
"""Markers that announce what no codec here decodes."""
# In entropy-coded data FF is followed by 00 (a stuffed FF) or by D0 to D7 (restarts).
# Not of a whole row of FF, which may precede a marker: each FF of a row without one would be
# tried as its beginning, and a small file of them would take hours.
_MARKER = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])")


class Segment(NamedTuple):
    """A marker and what belongs to it, as positions in the file.

    Attributes:
        marker: its code.
        at: of the marker itself, and of the FF that fill up before it.
        start: of its content, behind its length.
        end: behind its content.
    """

    marker: int
    at: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class JpegHeader:
    """What a JPEG file says about itself.

    Attributes:
        width: pixels per row as stored, before the orientation is applied.
        height: rows as stored.
        orientation: EXIF orientation, 1 to 8; 1 when absent or out of range.
        components: 1 for grey, 3 for colour, 4 for CMYK.
        coefficients: per pixel, that must be kept until the last scan; 0 when a scan suffices.
    """

    width: int
    height: int
    orientation: int
    components: int
    coefficients: int


def read_jpeg_header(data: bytes) -> JpegHeader:
    """Read the header of a JPEG file, and of its scans if there are several.

    Returns:
        Size and components of the frame, the EXIF orientation, and how much decoding has to keep.

    Raises:
        UnsupportedError: it is of a kind that nothing here decodes.
        ValueError: it ends before its frame header, a part of its image is in no scan, or it has
            more than `MAX_SCANS` scans.
    """
    frame: tuple[int, bytes] | None = None
    orientation: int | None = None
    first_scan: int | None = None
    for marker, _, start, end in segments(data):
        if marker == _APP1 and orientation is None and data.startswith(b"Exif\0\0", start):
            orientation = _orientation(data[start + 6 : end])
        elif marker in _RARE:
            raise UnsupportedError(_RARE[marker])
        elif marker in FRAMES and end - start >= 6:
            frame = marker, data[start:end]
        elif marker == SOS:
            first_scan = start
            break
    if frame is None:
        raise ValueError("it ends before its frame header")
    kind, content = frame
    header = _header(content, orientation or 1)
    if header.height == 0 and b"\xff\xdc" in data:
        raise UnsupportedError("of a height that is only given behind its pixels")
    # A sequential image whose first scan has all components has no other scan.
    if first_scan is None or (
        kind not in _PROGRESSIVE and data[first_scan : first_scan + 1] == content[5:6]
    ):
        return header
    names = content[6 : 6 + 3 * header.components : 3]
    _check_scans(data, first_scan, names, progressive=kind in _PROGRESSIVE)
    return replace(header, coefficients=header.components)


def _header(content: bytes, orientation: int) -> JpegHeader:
    """What a frame header says."""
    precision, components = content[0], content[5]
    height, width = (int.from_bytes(content[at : at + 2], "big") for at in (1, 3))
    if precision != 8:
        raise UnsupportedError(f"of {precision} bits per sample")
    if components not in (1, 3, 4):
        raise UnsupportedError(f"of {components} components")
    return JpegHeader(width, height, orientation, components, 0)


def segments(data: bytes) -> Iterator[Segment]:
    """Walk the marker segments of a JPEG file.

    Bytes between segments that are no marker are skipped, as libjpeg does: pixels behind a scan's
    header, and what should not be there.

    Yields:
        The segments in order; the last one is the end of the image, unless the file is cut off.

    Raises:
        ValueError: there are more than any image needs.
    """
    position = 2
    for _ in range(_MAX_SEGMENTS):
        match = _MARKER.search(data, position)
        if match is None:
            return
        at = position
        if match.start() != position:
            at += len(data[position : match.start()].rstrip(b"\xff"))
        position = match.end()
        marker = match.group(1)[0]
        if marker == EOI:
            yield Segment(marker, at, position, position)
            return
        if marker in _STANDALONE:
            continue
        end = position + max(2, int.from_bytes(data[position : position + 2], "big"))
        yield Segment(marker, at, position + 2, min(end, len(data)))
        position = end
    raise ValueError(f"it has more than {_MAX_SEGMENTS} segments")


def _check_scans(data: bytes, first: int, components: Sequence[int], *, progressive: bool) -> None:
    """Refuse too many scans, and too few: decoders silently fill in what no scan brings."""
    # Searching for bytes also finds thumbnails and what follows the image, but is much quicker than
    # walking: only a file that is suspicious is walked.
    hasty, precise = _found_scans(data, first), _walked_scans(data)
    if _is_complete(hasty, components, progressive=progressive):
        return
    if not _is_complete(precise, components, progressive=progressive):
        raise ValueError("a scan is missing")


def _found_scans(data: bytes, first: int) -> Iterator[bytes]:
    yield data[first : first + 16]
    end = data.find(b"\xff\xd9", first)
    position = first
    while (position := data.find(b"\xff\xda", position, end)) >= 0:
        position += 4
        yield data[position : position + 16]


def _walked_scans(data: bytes) -> Iterator[bytes]:
    scans = 0
    for marker, _, start, end in segments(data):
        if marker == SOS:
            scans += 1
            if scans > MAX_SCANS:
                raise ValueError(f"it has more than {MAX_SCANS} scans")
            yield data[start:end]


def _is_complete(scans: Iterator[bytes], components: Sequence[int], *, progressive: bool) -> bool:
    """Whether the headers of `scans` bring each component, and all bits of what they began.

    A coefficient that no scan mentions is none that is missing: it is 0.
    """
    # Invariant: the bits that are still to come, of each component and coefficient.
    missing: dict[tuple[int, int], int] = {(component, 0): 1 for component in components}
    count = 0
    for header in scans:
        count += 1
        if count > MAX_SCANS:
            return False
        end = 1 + 2 * header[0] if header else 0
        if len(header) < end + 3 or not header:
            continue
        start, stop, low = header[end], header[end + 1], header[end + 2] & 0x0F
        last = min(stop, 63) if progressive else 0
        for component in header[1:end:2]:
            for coefficient in range(start if progressive else 0, last + 1):
                missing[component, coefficient] = low if progressive else 0
    return not any(missing.values())


def _orientation(exif: bytes) -> int | None:
    try:
        value = first_directory(exif, (_ORIENTATION,)).get(_ORIENTATION)
    except ValueError:
        # Broken metadata is no reason to refuse good pixels.
        return None
    return value if value is not None and 1 <= value <= 8 else None
