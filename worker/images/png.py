"""What is done to PNG files without decoding: dimensions, and leaving out what no pixel needs.

OpenCV 5.0's reader of PNG crashes on some animations (found by fuzzing), and sets aside as much
memory as a chunk claims to need, up to 4 GB. So every chunk is checked to lie within the file, and
only those that make the still image are passed on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker.images.decode_errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["read_png_size", "still_png"]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MAX_CHUNKS = 65_536
"""Most chunks of a file; encoders put at least 8 KB of pixels into one."""

_STILL = frozenset({b"IHDR", b"PLTE", b"eXIf", b"IDAT", b"IEND"})
"""The chunks that decide about pixels; eXIf holds the orientation."""

_NAMED = _STILL | frozenset(
    b"tRNS cHRM gAMA iCCP sBIT sRGB cICP mDCV cLLI bKGD hIST pHYs sPLT tEXt zTXt iTXt tIME "
    b"acTL fcTL fdAT".split()
)
"""The chunks of the PNG specification. The names of others are no message's: a fetched file may be
one that only this worker can read."""


def read_png_size(data: bytes) -> tuple[int, int]:
    """Read a file's size.

    Returns:
        Width and height in pixels.

    Raises:
        UnsupportedError: it was changed for iPhones, which other decoders do not understand.
        ValueError: the file does not begin with a whole header chunk.
    """
    if data[12:16] == b"CgBI":
        raise UnsupportedError("made for iPhones only (CgBI)")
    if data[8:16] != b"\0\0\0\x0dIHDR" or len(data) < 24:
        raise ValueError("its header is missing")
    return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")


def still_png(data: bytes) -> bytes:
    """Take out animation, text, profiles and what follows the image.

    Returns:
        The shortened file.

    Raises:
        ValueError: the file ends before its last chunk, or has absurdly many.
    """
    kept = [_SIGNATURE]
    for kind, start, end in _chunks(data):
        if end > len(data):
            name = kind.decode("ascii") if kind in _NAMED else "of an unknown type"
            raise ValueError(f"its chunk {name} is cut off")
        if kind in _STILL:
            kept.append(data[start:end])
    return b"".join(kept)


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Type, start and end of each chunk up to `IEND`; an end beyond the file is the last one."""
    end = len(_SIGNATURE)
    for _ in range(_MAX_CHUNKS):
        start, kind = end, data[end + 4 : end + 8]
        end += int.from_bytes(data[start : start + 4], "big") + 12
        yield kind, start, end
        if kind == b"IEND" or end > len(data):
            return
    raise ValueError(f"it has more than {_MAX_CHUNKS} chunks")
