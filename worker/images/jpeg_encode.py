"""JPEG files by OpenCV (libjpeg-turbo), in one piece or in two that are encoded at different times.

JPEG codes blocks of 16x16 pixels from left to right and from top to bottom. Between rows of blocks
there is a restart marker here, so that each can be read without those before it (ITU-T T.81, B.2.1,
E.1.4 and F.1.1.5.1). That takes some bytes a row, and no time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from worker.images.codecs import cv2

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["BLOCK", "MAX_SIDE", "continue_jpeg", "encode_jpeg", "join"]

BLOCK = 16
"""Rows and columns of pixels that are coded together: colours have half the resolution (4:2:0)."""

MAX_SIDE = 65_500
"""Pixels; libjpeg writes nothing wider or higher."""

_FRAME, _SCAN, _RESTART = 0xC0, 0xDA, 0xD0
"""The second bytes of markers: of a frame's head, of a scan's, and of the first of all restarts."""

_RESTARTS = 8
"""Restart markers are numbered in turn."""

_END = b"\xff\xd9"


def encode_jpeg(bgr: npt.NDArray[np.uint8], quality: int) -> bytes:
    """Encode an image.

    Args:
        bgr: `[H, W, 3] uint8` BGR, contiguous.
        quality: 1 to 100.

    Returns:
        The bytes of a JPEG file with half the resolution for colours.

    Raises:
        ValueError: a side is longer than `MAX_SIDE`.
        MemoryError: there is no memory left; `cv2.error` may mean the same.
    """
    height, width = bgr.shape[:2]
    if max(height, width) > MAX_SIDE:
        raise ValueError(f"a JPEG file cannot hold {width}x{height} pixels: use .png")
    done, data = cv2.imencode(
        ".jpg",
        bgr,
        (
            cv2.IMWRITE_JPEG_QUALITY,
            quality,
            cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
            cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
            cv2.IMWRITE_JPEG_RST_INTERVAL,
            -(-width // BLOCK),
        ),
    )
    if not done:
        # It has no other reason: any pixels can be encoded.
        raise MemoryError("OpenCV has no memory to write a JPEG")
    encoded: bytes = data.tobytes()
    return encoded


def continue_jpeg(bgr: npt.NDArray[np.uint8], quality: int, rows: int) -> bytes:
    """Encode the lower part of an image.

    Args:
        bgr: as for `encode_jpeg`.
        quality: 1 to 100.
        rows: rows of blocks that are missing above.

    Returns:
        What `join` needs.

    Raises:
        ValueError: a side is longer than `MAX_SIDE`.
        MemoryError: there is no memory left; `cv2.error` may mean the same.
    """
    jpeg = encode_jpeg(bgr, quality)
    _, begin = _heads(jpeg)
    data = np.frombuffer(jpeg, np.uint8).copy()
    coded = data[begin : -len(_END)]
    # Only a marker has another byte than 0 behind 0xff here.
    seconds = np.flatnonzero(coded[:-1] == 0xFF) + 1
    restarts = seconds[coded[seconds] != 0]
    coded[restarts] = _RESTART + (np.arange(len(restarts)) + rows) % _RESTARTS
    return data.tobytes()


def join(top: bytes, rest: bytes) -> bytes:
    """Put the parts of an image together.

    Args:
        top: by `encode_jpeg`, of whole rows of blocks.
        rest: by `continue_jpeg`, as wide and of the same quality.

    Returns:
        What `encode_jpeg` makes of all the pixels.
    """
    frame, begin = _heads(top)
    height, rest_height = (_number(part, frame + 5) for part in (top, rest))
    restart = _RESTART + (height // BLOCK - 1) % _RESTARTS
    return b"".join(
        (
            top[: frame + 5],
            (height + rest_height).to_bytes(2),
            top[frame + 7 : -len(_END)],
            bytes((0xFF, restart)),
            rest[begin:],
        )
    )


def _heads(jpeg: bytes) -> tuple[int, int]:
    """Where the frame's head begins, and where the coded blocks do; both files of `join` agree."""
    at, frame, marker = 2, 0, 0
    while marker != _SCAN:
        marker = jpeg[at + 1]
        if marker == _FRAME:
            frame = at
        at += 2 + _number(jpeg, at + 2)
    return frame, at


def _number(jpeg: bytes, at: int) -> int:
    return int.from_bytes(jpeg[at : at + 2])
