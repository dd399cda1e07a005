"""Which TIFF files are decoded at all; the others are named in the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker.errors import JobError, Reason
from worker.images.tiff_layout import MAX_SAMPLES
from worker.images.tiff_tags import FAX, Compression, Photometric

if TYPE_CHECKING:
    from collections.abc import Iterator

    from worker.images.tiff_layout import Layout

__all__ = ["check_supported", "unsupported"]

_FOREIGN_COMPRESSIONS = {
    6: "old-style JPEG",
    9: "JBIG, T.85",
    10: "JBIG, T.43",
    22610: "JPEG XR, NDPI",
    32766: "NeXT",
    32809: "ThunderScan",
    32895: "CT with padding",
    32896: "linework",
    32897: "high-contrast linework",
    32898: "binary linework",
    32908: "Pixar film",
    32909: "PixarLog",
    32947: "Kodak DCS",
    33003: "JPEG 2000, Aperio YCbCr",
    33004: "JPEG 2000, lossy",
    33005: "JPEG 2000, Aperio RGB",
    33007: "JPEG, alternative",
    34661: "JBIG",
    34676: "SGI LogLuv",
    34677: "SGI LogLuv24",
    34712: "JPEG 2000",
    34713: "Nikon NEF",
    34715: "JBIG2",
    34887: "LERC",
    34892: "lossy JPEG, DNG",
    34926: "Zstandard, old number",
    34927: "WebP, old number",
    34933: "PNG",
    34934: "JPEG XR",
    50002: "JPEG XL",
    52546: "JPEG XL, DNG",
    65000: "Kodak DCR",
    65535: "Pentax PEF",
}

_FOREIGN_PHOTOMETRICS = {
    4: "a transparency mask",
    9: "ICC L*a*b*",
    10: "ITU L*a*b*",
    32803: "a camera's raw colour filter array",
    32844: "logarithmic luminance",
    32845: "logarithmic luminance and colour",
    34892: "a camera's linear raw data",
    51177: "a depth map",
}

_SIGNED = 2
_FORMATS = {_SIGNED: "signed integers", 3: "floating-point numbers", 5: "complex", 6: "complex"}


def check_supported(layout: Layout) -> None:
    """Refuse what is a TIFF, but of a kind that no decoder here reads.

    Raises:
        JobError: `NOT_AN_IMAGE`, saying what it is and what to send.
    """
    for found in _problems(layout):
        raise unsupported(found)


def unsupported(found: str) -> JobError:
    """Make the error for a TIFF that may be whole, but is not decoded.

    Args:
        found: a sentence about it, without its end.

    Returns:
        The error, `NOT_AN_IMAGE`, not raised.
    """
    return JobError(
        Reason.NOT_AN_IMAGE,
        f"{found}, which is not supported: save it with 8 or 16 bits per sample, uncompressed or "
        "with LZW or Deflate, or as JPEG or PNG",
    )


def _problems(layout: Layout) -> Iterator[str]:
    number = layout.compression
    if number not in set(Compression):
        name = _FOREIGN_COMPRESSIONS.get(number, "unknown")
        yield f"the TIFF file has compression {number} ({name})"
    yield from _pixel_problems(layout)
    yield from _combination_problems(layout)


def _pixel_problems(layout: Layout) -> Iterator[str]:
    for kind in sorted(layout.formats & set(_FORMATS)):
        # Signed bytes are read as unsigned ones, as Pillow and libtiff do.
        if (kind, layout.bits[0]) != (_SIGNED, 8):
            yield f"the TIFF file's pixels are {layout.bits[0]}-bit {_FORMATS[kind]}"
    if len(set(layout.bits)) > 1:
        yield f"the TIFF file has samples of {' and '.join(map(str, layout.bits))} bits"
    if layout.bits[0] > 16:
        yield f"the TIFF file's pixels are {layout.bits[0]}-bit integers"
    if layout.photometric not in set(Photometric):
        number = layout.photometric
        name = _FOREIGN_PHOTOMETRICS.get(number, "an unknown kind of pixels")
        yield f"the TIFF file holds {name} (photometric interpretation {number})"
    extras = layout.samples - layout.channels
    most = MAX_SAMPLES - layout.channels if layout.photometric == Photometric.RGB else 1
    if extras > most:
        yield f"the TIFF file has {layout.samples} samples per pixel (bands)"
    if layout.photometric == Photometric.CMYK and layout.ink_set != 1:
        yield "the TIFF file has inks other than cyan, magenta, yellow and black"
    if layout.depth > 1:
        yield "the TIFF file holds a volume"


def _combination_problems(layout: Layout) -> Iterator[str]:
    bits = layout.bits[0]
    if layout.predicted and (layout.predictor != 2 or bits not in (8, 16) or layout.subsampled):
        yield f"the TIFF file has predictor {layout.predictor} on samples of {bits} bits"
    if layout.photometric in (Photometric.YCBCR, Photometric.LAB) and bits != 8:
        yield f"the TIFF file has {bits}-bit {Photometric(layout.photometric).name} pixels"
    if layout.photometric == Photometric.PALETTE and bits > 8:
        yield f"the TIFF file has a palette of {bits} bits"
    if layout.compression in FAX and (bits != 1 or layout.samples != 1):
        yield "the TIFF file has fax compression on pixels that are not black and white"
    if layout.colour == Photometric.YCBCR:
        yield from _ycbcr_problems(layout)
    if layout.compression in (Compression.JPEG, Compression.WEBP):
        yield from _picture_problems(layout)


def _ycbcr_problems(layout: Layout) -> Iterator[str]:
    if not layout.plain_ycbcr:
        yield "the TIFF file has YCbCr pixels with coefficients or a range of their own"
    if layout.separate and layout.subsampling != (1, 1):
        yield "the TIFF file has subsampled YCbCr pixels in separate planes"
    if layout.subsampled and (layout.samples != 3 or not set(layout.subsampling) <= {1, 2, 4}):
        across, down = layout.subsampling
        yield f"the TIFF file has {layout.samples} YCbCr samples, subsampled {across}x{down}"


def _picture_problems(layout: Layout) -> Iterator[str]:
    """What images compressed as pictures of their own cannot hold."""
    name = "JPEG" if layout.compression == Compression.JPEG else "WebP"
    samples = 1 if layout.separate else layout.samples
    kind = (layout.photometric, samples)
    webp = {(Photometric.RGB, 3), (Photometric.RGB, 4)}
    if layout.bits[0] != 8:
        yield f"the TIFF file has {layout.bits[0]}-bit pixels compressed with {name}"
    elif samples not in (1, 3, 4) or (name == "WebP" and kind not in webp):
        yield f"the TIFF file has {samples} samples per pixel compressed with {name}"
    elif kind == (Photometric.YCBCR, 4):
        yield f"the TIFF file has YCbCr pixels with alpha compressed with {name}"
