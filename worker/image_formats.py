"""The table of image formats: how each is recognised and called; what follows from that.

Needs no codec, so that every part of the program can use it. What decodes a format is in
`worker.images.decoders`, the second half of the table; to add a format, add a row to both.
"""

from __future__ import annotations

import enum
import re
from typing import Self

__all__ = ["IMAGE_SUFFIXES", "MEDIA_TYPES", "WRITABLE_SUFFIXES", "ImageFormat", "listed"]


class ImageFormat(enum.StrEnum):
    """A format that is decoded; its value is its name in sentences.

    Attributes:
        magic: matches the beginning of its files.
        media_type: its registered name in HTTP and MIME.
        suffixes: of its files, lower case and with their dot; the usual one first.
        writable: whether pictures are saved in it.
    """

    magic: re.Pattern[bytes]
    media_type: str
    suffixes: tuple[str, ...]
    writable: bool

    def __new__(
        cls,
        name: str,
        magic: bytes,
        media_type: str,
        suffixes: tuple[str, ...],
        writable: bool,
    ) -> Self:
        """Make a row of the table."""
        row = str.__new__(cls, name)
        row._value_ = name
        row.magic = re.compile(magic, re.DOTALL)
        row.media_type = media_type
        row.suffixes = suffixes
        row.writable = writable
        return row

    JPEG = "JPEG", rb"\xff\xd8\xff", "image/jpeg", (".jpg", ".jpeg", ".jpe", ".jfif"), True
    PNG = "PNG", rb"\x89PNG\r\n\x1a\n", "image/png", (".png",), True
    WEBP = "WebP", rb"RIFF....WEBP", "image/webp", (".webp",), True
    # Two letters alone would take a text for a bitmap: ask for a plausible header size as well.
    BMP = (
        "BMP",
        rb"BM.{12}[\x0c\x10-\x40\x6c\x7c]\x00\x00\x00",
        "image/bmp",
        (".bmp",),
        True,
    )
    GIF = "GIF", rb"GIF8[79]a", "image/gif", (".gif",), False
    TIFF = "TIFF", rb"II[\x2a\x2b]\x00|MM\x00[\x2a\x2b]", "image/tiff", (".tif", ".tiff"), True


IMAGE_SUFFIXES = frozenset(suffix for each in ImageFormat for suffix in each.suffixes)
"""Suffixes of image files. A file may be called anything else and still be one."""

WRITABLE_SUFFIXES = frozenset(
    suffix for each in ImageFormat if each.writable for suffix in each.suffixes
)
"""Suffixes of the formats in which pictures are saved."""

MEDIA_TYPES = tuple(each.media_type for each in ImageFormat)
"""The formats' media types. Any `image/...` is taken for an image, whose first bytes decide."""


def listed() -> str:
    """The formats for a sentence.

    Returns:
        `JPEG, PNG, ... or TIFF`.
    """
    *most, last = ImageFormat
    return f"{', '.join(most)} or {last}"
