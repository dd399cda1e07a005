"""Which format a file is in, by its first bytes; never by its name or by what a server calls it."""

from __future__ import annotations

import re

from worker.errors import JobError, Reason
from worker.image_formats import ImageFormat, listed

__all__ = ["refuse_unknown", "sniff"]


_MAGIC = tuple((each.magic.match, each) for each in ImageFormat)

HEAD = 4096
"""Bytes at a file's beginning that are looked at: what it costs must not grow with the file."""

_BLANK = rb"(?:\xef\xbb\xbf)?(?>\s+|<!--.*?-->)*+"
"""White space and comments, which are read in one way only: comments in a row can be read in more
ways than anybody can wait for."""

_TGA = rb".{4}(?!\x00\x00)..(?!\x00\x00)..[\x08\x0f\x10\x18\x20][\x00-\x3f]"
"""The rest of a TGA header: origin, a size that is not 0, depth, order of rows."""

_FOREIGN = tuple(
    (re.compile(pattern, re.DOTALL), name)
    for pattern, name in (
        (
            _BLANK + rb"(?i:<(?:!doctype\s+html|html|head|body))",
            "an HTML page: use the address of the image itself",
        ),
        (_BLANK + rb"(?i:<(?:\?xml|!doctype\s+svg|svg))", "XML or SVG"),
        (rb"....ftyp(?:avi[fs]|.{4,60}avi[fs])", "AVIF"),
        (rb"....ftyp(?:hei[cfmsx]|hev[cmsx]|mif[12]|msf1|miaf)", "HEIC"),
        (rb"....ftypcrx", "a raw photograph (CR3)"),
        (rb"....ftypjp[2xm]|\x00\x00\x00\x0cjP  |\xff\x4f\xff\x51", "JPEG 2000"),
        (rb"....ftyp", "a video"),
        (rb"\xff\x0a|\x00\x00\x00\x0cJXL ", "JPEG XL"),
        (rb"II\xbc[\x00\x01]", "JPEG XR"),
        (rb"BPG\xfb", "BPG"),
        (rb"(?:\x8aMNG|\x8bJNG)\r\n", "MNG or JNG"),
        (rb"\x00\x00\x01\x00(?!\x00\x00)", "an icon (ICO)"),
        (rb"\x00\x00\x02\x00(?!\x00\x00)", "a cursor (CUR)"),
        (rb"RIFF....ACON", "an animated cursor (ANI)"),
        (rb"BA.{12}BM", "an array of bitmaps (OS/2)"),
        (rb"icns", "an icon (ICNS)"),
        (rb"8BP[SB]", "a Photoshop document"),
        (rb"gimp xcf", "a GIMP document"),
        (rb"FUJIFILMCCD-RAW|IIR[OS]|MMOR|IIU\x00|II\x1a\x00\x00\x00HEAPCCDR", "a raw photograph"),
        (rb"qoif", "QOI"),
        (rb"DDS ", "a texture (DDS)"),
        (rb"v/1\x01", "OpenEXR"),
        (rb"#\?(?:RADIANCE|RGBE)", "Radiance HDR"),
        (rb"P[1-6]\s|P7\n|P[Ff]\s", "Netpbm (PBM, PGM, PPM, PAM, PFM)"),
        (rb"\x0a[\x00\x02-\x05]\x01[\x01\x02\x04\x08]", "PCX"),
        (rb"\x59\xa6\x6a\x95", "a Sun raster image"),
        (rb"\x01\xda[\x00\x01][\x01\x02]", "an SGI image"),
        (rb"/\* XPM|#define \w+_width", "XPM or XBM"),
        (rb"\xd7\xcd\xc6\x9a|\x01\x00\x00\x00.{36} EMF", "a metafile (WMF, EMF)"),
        (rb".{128}DICM", "DICOM"),
        (rb"SIMPLE  =", "FITS"),
        (rb"AT&TFORM", "DjVu"),
        (rb"%!PS|\xc5\xd0\xd3\xc6", "PostScript"),
        (rb"%PDF-", "a PDF document"),
        (
            rb"RIFF....AVI |\x1a\x45\xdf\xa3|FLV\x01|\x00\x00\x01[\xb3\xba]|\x30\x26\xb2\x75|OggS",
            "a video",
        ),
        (rb"....(?:moov|mdat)", "a video"),
        (rb"RIFF....WAVE|ID3|fLaC", "a sound"),
        (rb"PK\x03\x04|PK\x05\x06", "a ZIP archive"),
        (rb"Rar!\x1a\x07|7z\xbc\xaf\x27\x1c|.{257}ustar", "an archive"),
        (rb"\x1f\x8b", "gzip-compressed data"),
        (rb"BZh[1-9]|\xfd7zXZ\x00|\x28\xb5\x2f\xfd", "compressed data"),
        (rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Office document"),
        (rb"version https://git-lfs", "a pointer of Git LFS, not the file itself"),
        (rb"(?:\xef\xbb\xbf)?\s*[{\[]", "JSON"),
        (
            rb"data:|https?://|(?:/9j/|iVBORw0KGgo|UklGR|R0lGOD)",
            "text, not the bytes of an image: decode it first",
        ),
        # TGA has no mark of its own: kind, depth and the rest of its header must be plausible.
        (rb".\x00[\x02\x03\x0a\x0b].{4}\x00" + _TGA, "TGA"),
        (rb".\x01[\x01\x09].{4}[\x0f\x10\x18\x20]" + _TGA, "TGA"),
    )
)
"""What is often sent by mistake, so that the answer can name it."""


_LATE_PDF = (re.compile(rb".{0,1019}%PDF-", re.DOTALL), "a PDF document")
"""Viewers accept a PDF's mark behind up to 1 KiB of other bytes."""

_SEND = f"send {listed()}"


def refuse_unknown(data: bytes) -> None:
    """Refuse what is of no kind that has a name here, without showing any of it.

    For what was fetched. `sniff` quotes the first bytes, which helps a producer that sent them. But
    a URL may be sent by somebody who wants to see what only this worker can read.

    Raises:
        JobError: `NOT_AN_IMAGE`.
    """
    head = data[:HEAD]
    if head and _format_of(head) is None and _foreign_name(head) is None:
        raise JobError(Reason.NOT_AN_IMAGE, f"the file is no image that is known here; {_SEND}")


def sniff(data: bytes) -> ImageFormat:
    """Find the format of a file by its first bytes alone.

    Returns:
        The format.

    Raises:
        JobError: `NOT_AN_IMAGE`, saying what it seems to be and what to send.
    """
    head = data[:HEAD]
    if (found := _format_of(head)) is not None:
        return found
    if not head:
        seen = "empty"
    else:
        seen = _foreign_name(head) or (
            f"no image that is known here (first bytes: {head[:8].hex(' ')})"
        )
    raise JobError(Reason.NOT_AN_IMAGE, f"the file is {seen}; {_SEND}")


def _format_of(head: bytes) -> ImageFormat | None:
    return next((each for match, each in _MAGIC if match(head)), None)


def _foreign_name(head: bytes) -> str | None:
    return next((name for pattern, name in (*_FOREIGN, _LATE_PDF) if pattern.match(head)), None)
