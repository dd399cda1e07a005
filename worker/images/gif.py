"""The little of GIF that is done without decoding: the first frame, alone, on a screen it fits on.

OpenCV 5.0 refuses a frame that is beyond the screen, which Pillow and browsers enlarge for it, and
a file without its last byte.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["first_frame", "read_gif_size"]

_EXTENSION, _IMAGE, _TRAILER = 0x21, 0x2C, 0x3B
_GRAPHIC_CONTROL = 0xF9
_SCREEN_END = 13
_LARGEST = 0xFFFF
_MAX_BLOCKS = 2**20
"""Most blocks of a file; encoders put 255 bytes into one."""


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where the first frame is, and what belongs to it.

    Attributes:
        control: its graphic control extension, which says what is transparent; empty without one.
        start: position of its descriptor.
        end: position behind its pixels.
        right: columns that the screen must have for it.
        bottom: rows that the screen must have for it.
    """

    control: bytes
    start: int
    end: int
    right: int
    bottom: int


def read_gif_size(data: bytes) -> tuple[int, int]:
    """Read the size of the screen, or as much more as the first frame needs.

    Returns:
        Width and height in pixels.

    Raises:
        ValueError: the file ends within its header.
    """
    width, height = _screen(data)
    try:
        frame = _walk(data, to_the_end=False)
    except ValueError:
        return width, height  # decoding will find the same fault
    return max(width, frame.right), max(height, frame.bottom)


def first_frame(data: bytes) -> bytes:
    """Cut a file off behind its first frame, and make its screen as large as the frame.

    Returns:
        The shortened file.

    Raises:
        ValueError: the file ends within a block (the last byte, which says that there is no more,
            may be missing), or has no frame.
    """
    frame = _walk(data, to_the_end=True)
    width, height = _screen(data)
    size = max(width, frame.right), max(height, frame.bottom)
    if max(size) > _LARGEST:
        raise ValueError(f"its first frame reaches to {frame.right}x{frame.bottom}")
    return b"".join(
        (
            data[:6],
            struct.pack("<HH", *size),
            data[10 : _colours_end(data)],
            frame.control,
            data[frame.start : frame.end],
            bytes([_TRAILER]),
        )
    )


def _screen(data: bytes) -> tuple[int, int]:
    if len(data) < _SCREEN_END:
        raise ValueError("it ends within its header")
    width, height = struct.unpack_from("<HH", data, 6)
    return width, height


def _colours_end(data: bytes) -> int:
    return _SCREEN_END + _colours(data[10])


def _colours(flags: int) -> int:
    """Bytes of a table of colours."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _walk(data: bytes, *, to_the_end: bool) -> _Frame:
    """Find the first frame and, if asked, whether it and the blocks behind it are whole."""
    frame: _Frame | None = None
    control = b""
    for kind, start, end in _blocks(data):
        if frame is not None:
            continue
        if kind == _IMAGE:
            left, top, width, height = struct.unpack_from("<4H", data, start + 1)
            frame = _Frame(control, start, end, left + width, top + height)
            if not to_the_end:
                break
        elif data[start + 1] == _GRAPHIC_CONTROL:
            control = data[start:end]
    if frame is None:
        raise ValueError("it ends before its first frame")
    return frame


def _blocks(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Kind, start and end of each extension and frame, up to the trailer or what is there."""
    position = _colours_end(data)
    remaining = _MAX_BLOCKS
    while position < len(data):
        kind, start = data[position], position
        if kind == _EXTENSION:
            position += 2
        elif kind == _IMAGE and position + 10 <= len(data):
            # The descriptor, its own colours, and one byte before the pixels.
            position += 10 + _colours(data[position + 9]) + 1
        elif kind != _IMAGE:
            return
        # A chain of blocks, each with its size before it, the last one empty.
        size = 1
        while size:
            if position >= len(data):
                raise ValueError("it ends within a block")
            if not remaining:
                raise ValueError(f"it has more than {_MAX_BLOCKS} blocks")
            remaining -= 1
            size = data[position]
            position += size + 1
        yield kind, start, position
