"""Which format a file is in, by its first bytes; never by its name or by what a server calls it."""

from __future__ import annotations

import enum
import re

from worker.errors import JobError, Reason

__all__ = ["ImageFormat", "refuse_unknown", "sniff"]


class ImageFormat(enum.StrEnum):
    """The formats that are decoded."""

    JPEG = "JPEG"
    PNG = "PNG"
    WEBP = "WebP"
    BMP = "BMP"
    GIF = "GIF"
    TIFF = "TIFF"


_MAGIC = (
    (re.compile(rb"\xff\xd8\xff"), ImageFormat.JPEG),
    (re.compile(rb"\x89PNG\r\n\x1a\n"), ImageFormat.PNG),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), ImageFormat.WEBP),
    (re.compile(rb"GIF8[79]a"), ImageFormat.GIF),
    (re.compile(rb"II[\x2a\x2b]\x00|MM\x00[\x2a\x2b]"), ImageFormat.TIFF),
    # Two letters alone would take a text for a bitmap: ask for a plausible header size as well.
    (re.compile(rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\x00\x00\x00", re.DOTALL), ImageFormat.BMP),
)

_FOREIGN = (
    (
        re.compile(rb"\s*<(?:!doctype\s+html|html|head)", re.IGNORECASE),
        "an HTML page: use the address of the image itself",
    ),
    (re.compile(rb"\s*<(?:\?xml|svg)", re.IGNORECASE), "XML or SVG"),
    (re.compile(rb"....ftyp(?:avif|avis)", re.DOTALL), "AVIF"),
    (re.compile(rb"....ftyp(?:hei[cxms]|hev[cx]|mif1|msf1)", re.DOTALL), "HEIC"),
    (re.compile(rb"....ftyp", re.DOTALL), "a video"),
    (re.compile(rb"\xff\x0a|\x00\x00\x00\x0cJXL "), "JPEG XL"),
    (re.compile(rb"\x00\x00\x00\x0cjP  |\xff\x4f\xff\x51"), "JPEG 2000"),
    (re.compile(rb"\x00\x00[\x01\x02]\x00"), "an icon (ICO)"),
    (re.compile(rb"8BPS"), "a Photoshop document"),
    (re.compile(rb"%PDF-"), "a PDF document"),
    (re.compile(rb"PK\x03\x04"), "a ZIP archive"),
    (re.compile(rb"\x1f\x8b"), "gzip-compressed data"),
    (re.compile(rb"\s*[{\[]"), "JSON"),
    (
        re.compile(rb"data:|https?://|(?:/9j/|iVBORw0KGgo|UklGR|R0lGOD)"),
        "text, not the bytes of an image: decode it first",
    ),
)
"""What is often sent by mistake, so that the answer can name it."""


_LATE_PDF = (re.compile(rb".{0,1019}%PDF-", re.DOTALL), "a PDF document")
"""Viewers bear with other bytes before a PDF's mark."""

_SEND = "send JPEG, PNG, WebP, BMP, GIF or TIFF"


def refuse_unknown(data: bytes) -> None:
    """Refuse what is of no kind that has a name here, without showing any of it.

    For what was fetched: `sniff` quotes the first bytes, which helps whoever sent them. But whoever
    sent a URL may be after what only this worker can read.

    Raises:
        JobError: `NOT_AN_IMAGE`.
    """
    if data and not any(pattern.match(data) for pattern, _ in (*_MAGIC, *_FOREIGN, _LATE_PDF)):
        raise JobError(Reason.NOT_AN_IMAGE, f"the file is no image that is known here; {_SEND}")


def sniff(data: bytes) -> ImageFormat:
    """The format of `data`, decided by its first bytes alone.

    Raises:
        JobError: `NOT_AN_IMAGE`, saying what it seems to be and what to send.
    """
    for pattern, found in _MAGIC:
        if pattern.match(data):
            return found
    if not data:
        seen = "empty"
    else:
        known = (name for pattern, name in (*_FOREIGN, _LATE_PDF) if pattern.match(data))
        seen = next(known, f"no image that is known here (first bytes: {data[:8].hex(' ')})")
    raise JobError(Reason.NOT_AN_IMAGE, f"the file is {seen}; {_SEND}")
