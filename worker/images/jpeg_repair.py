"""A JPEG file without the oddities that decide no pixel, so that it can be decoded strictly.

libjpeg warns of an odd header as it warns of lost pixels, and reports only its first warning. To
ignore the one would be to ignore the other. So the oddities are taken out first, and then every
warning is an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from worker.images.jpeg import (
    APP0,
    APP14,
    APP15,
    COM,
    EOI,
    FRAMES,
    SEQUENTIAL,
    SOS,
    segments,
)

__all__ = ["MAX_PADDING", "without_oddities"]

MAX_PADDING = 32
"""Most zeros behind the pixels of a scan that count as padding, which some cameras add."""

_JFIF = b"JFIF\0\1\1\0\0\1\0\1\0\0"
"""The plainest JFIF header: it says that three components are YCbCr."""

_WHOLE_BLOCKS = bytes([0, 63, 0])
"""How the header of a sequential scan says that it holds all coefficients with all their bits."""

# Only a row's first FF is tried as its beginning: a long row would take hours otherwise.
_RESTART = re.compile(rb"((?<!\xff)\xff++[\xd0-\xd7])")


def without_oddities(data: bytes, *, padding: bool = True) -> bytes:
    """Take out what libjpeg may warn of and no pixel depends on.

    Left out are comments, thumbnails, profiles and the like, stray bytes, and what follows the
    image; its end is missing if it was. Which colours the components are stays what it was to
    libjpeg.

    Args:
        padding: whether zeros between the pixels of a scan and the next marker stay. Those of a
            file that lost its pixels to zeros look the same, but then pixels are missing without
            them.

    Returns:
        The segments that decide about pixels, and nothing between them.
    """
    kept: list[bytes] = []
    colours = _Colours()
    frame, scan = 0, -1
    for marker, at, start, end in segments(data):
        if scan >= 0:
            kept.append(_pixels(data[scan:at], padding=padding))
        scan = end if marker == SOS else -1
        content = data[start:end]
        if APP0 <= marker <= APP15 or marker == COM:
            colours.note(marker, content)
            continue
        if marker in FRAMES:
            frame = marker
            colours.components = content[5] if len(content) > 5 else 0
        elif marker == SOS:
            colours.settled = True
            if frame in SEQUENTIAL:
                content = _of_whole_blocks(content)
        kept.append(_segment(marker, content))
    if scan >= 0:
        kept.append(data[scan:])
    return b"".join((b"\xff\xd8", *colours.headers(), *kept))


@dataclass(slots=True)
class _Colours:
    """What the headers say of the colour space, as libjpeg understands them.

    Attributes:
        components: of the image.
        settled: whether the first scan has come; later headers are too late.
        jfif: whether there was a JFIF header.
        transform: Adobe's code for the colour space; None without its header.
    """

    components: int = 0
    settled: bool = False
    jfif: bool = False
    transform: int | None = None

    def note(self, marker: int, content: bytes) -> None:
        if self.settled:
            return
        if marker == APP0 and content.startswith(b"JFIF\0") and len(content) >= 14:
            self.jfif = True
        elif marker == APP14 and content.startswith(b"Adobe") and len(content) >= 12:
            self.transform = content[11]

    def headers(self) -> Iterator[bytes]:
        if self.jfif:
            yield _segment(APP0, _JFIF)
        if self.transform is not None:
            # YCbCr and YCCK are what libjpeg takes an unknown code for.
            known, usual = ((0, 2), 2) if self.components == 4 else ((0, 1), 1)
            code = self.transform if self.transform in known else usual
            yield _segment(APP14, b"Adobe\0\x64\0\0\0\0" + bytes([code]))


def _segment(marker: int, content: bytes) -> bytes:
    if marker == EOI:
        return bytes([0xFF, EOI])
    return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content


def _of_whole_blocks(scan_header: bytes) -> bytes:
    at = 1 + 2 * scan_header[0] if scan_header else 0
    return scan_header[:at] + _WHOLE_BLOCKS + scan_header[at + 3 :]


def _pixels(coded: bytes, *, padding: bool) -> bytes:
    """The entropy-coded data of a scan, if asked without what fills up its parts."""
    if padding:
        return coded
    return b"".join(
        part if number % 2 else _unpadded(part) for number, part in enumerate(_RESTART.split(coded))
    )


def _unpadded(part: bytes) -> bytes:
    bare = part.rstrip(b"\0")
    if bare.endswith(b"\xff"):
        bare += b"\0"  # together they stand for the byte FF
    return bare if len(part) - len(bare) <= MAX_PADDING else part
