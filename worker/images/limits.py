"""What is refused before a pixel is decoded: too many bytes, too many pixels, too much memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from worker.errors import JobError, Reason

if TYPE_CHECKING:
    from worker.images.announced_size import Header

__all__ = ["CODEC_MAX_PIXELS", "Limits", "check_bytes", "check_cost", "check_size"]

CODEC_MAX_PIXELS = 2**28
"""Most pixels that OpenCV decodes, whatever the settings say.

The header is read and checked before any decoder runs; this is the net below that check, for a file
whose header and content disagree. OpenCV reads it once, when it loads, and defaults to 2**30.
"""

_MOST_PADDING = 2
"""How many times the image's own pixels its tiles may have, when they have more than is accepted.

An image of just the accepted size may have tiles that reach beyond its edges.
"""

_MOST_BYTES = 16
"""Bytes that decoding may hold per accepted pixel: 3 of the image, and in one strip up to 8."""

_SMALL_BYTES = 2**27
"""Bytes that decoding may always hold."""


class Limits(Protocol):
    """What is accepted; `worker.settings.DecodeSettings`, of which image processes get a part."""

    @property
    def max_bytes(self) -> int:
        """Bytes of an encoded image."""
        ...

    @property
    def max_pixels(self) -> int:
        """Width times height."""
        ...

    @property
    def max_side(self) -> int:
        """Longest side in pixels."""
        ...


def check_bytes(data: bytes, limits: Limits) -> None:
    """Refuse what has too many bytes.

    Raises:
        JobError: `TOO_LARGE`.
    """
    if len(data) > limits.max_bytes:
        raise JobError(
            Reason.TOO_LARGE,
            f"the image has {len(data)} bytes, more than the {limits.max_bytes} accepted; "
            "send a smaller one",
        )


def check_size(what: str, width: int, height: int, limits: Limits) -> None:
    """Refuse what has too many pixels.

    Args:
        what: begins the message.

    Raises:
        JobError: `TOO_MANY_PIXELS`.
    """
    size = f"{what} is {width}x{height} pixels"
    if max(width, height) > limits.max_side:
        raise JobError(
            Reason.TOO_MANY_PIXELS,
            f"{size}; its longest side may be {limits.max_side}: scale it down",
        )
    most = min(limits.max_pixels, CODEC_MAX_PIXELS)
    if width * height > most:
        raise JobError(
            Reason.TOO_MANY_PIXELS, f"{size}; at most {most} in all are accepted: scale it down"
        )


def check_cost(header: Header, limits: Limits) -> None:
    """Refuse what makes the decoder hold or make far more than the image itself.

    Raises:
        JobError: `TOO_MANY_PIXELS`.
    """
    most = min(limits.max_pixels, CODEC_MAX_PIXELS)
    image = header.width * header.height
    if header.coded_pixels > max(most, _MOST_PADDING * image):
        raise JobError(
            Reason.TOO_MANY_PIXELS,
            f"the image is {header.width}x{header.height} pixels, but its tiles make "
            f"{header.coded_pixels}; at most {most} are accepted: save it with smaller tiles",
        )
    most_bytes = _MOST_BYTES * most + _SMALL_BYTES
    if header.decoded_bytes > most_bytes:
        raise JobError(
            Reason.TOO_MANY_PIXELS,
            f"decoding the image takes {header.decoded_bytes} bytes; at most {most_bytes} are "
            "accepted: save it with 8 bits per sample and in strips of a few rows",
        )
