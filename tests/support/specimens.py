"""Images made to do harm, written by the test: small files that cost much, and one that crashed.

None needs more than a few hundred kilobytes on the wire; what each would cost is said beside it.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
from PIL import Image

from tests.support.make import encode
from tests.support.make_pdf import nested_forms
from tests.support.make_tiff import simple

__all__ = ["SPECIMENS", "large_pictures", "progressive_scans"]

SIDE = 8000
DEFLATE = (259, 8)
_END_OF_BLOCKS = 0xE0
_HIGHEST_BIT = 13
_LONGEST_RUN = 2**15 - 1
"""Blocks that one code of a progressive scan says to be empty."""


def huge_tile() -> bytes:
    """16 x 16 pixels in one tile of 16000 x 16000: 249 kB, of which 256 MB come.

    A decoder that unpacks first and looks then holds it several times.
    """
    return simple(_deflated(), 16, 16, DEFLATE, (322, 16_000), (323, 16_000))


def long_strip() -> bytes:
    """16 x 16 pixels in a strip that inflates to 256 MB: the header says nothing of them."""
    return simple(_deflated(), 16, 16, DEFLATE)


@cache
def _deflated() -> bytes:
    return zlib.compress(bytes(16_000 * 16_000))


def progressive_scans(side: int = SIDE) -> bytes:
    """A progressive JPEG of 85 scans, each of which goes over all blocks: seconds for 400 kB.

    One scan has the mean of all blocks; 28 of each of the three components add a bit to half of its
    other coefficients. All of them are 0, so that every scan is nearly nothing to store.
    """
    blocks = (side // 8) ** 2
    sampling = b"".join(bytes((component, 0x11, 0)) for component in (1, 2, 3))
    frame = struct.pack(">BHHB", 8, side, side, 3) + sampling
    quantisation = bytes(1) + bytes([16]) * 64
    return b"".join(
        (
            b"\xff\xd8",
            _segment(0xDB, quantisation),
            _segment(0xC2, frame),
            _segment(0xC4, _one_code(0x00, 0)),
            _segment(0xC4, _one_code(0x10, _END_OF_BLOCKS)),
            _segment(0xDA, bytes((3, 1, 0, 2, 0, 3, 0, 0, 0, 0))),
            _packed("0" * 3 * blocks),
            *_coefficient_scans(blocks),
            b"\xff\xd9",
        )
    )


def _coefficient_scans(blocks: int) -> Iterator[bytes]:
    runs, rest = divmod(blocks, _LONGEST_RUN)
    # A run of 2**14 and as many blocks as the next 14 bits say; a last one may be too long.
    empty = _packed(("0" + "1" * 14) * (runs + bool(rest)))
    for component in (1, 2, 3):
        for first, last in ((1, 31), (32, 63)):
            for bit in range(_HIGHEST_BIT, -1, -1):
                before = 0 if bit == _HIGHEST_BIT else bit + 1
                header = bytes((1, component, 0, first, last, before << 4 | bit))
                yield _segment(0xDA, header) + empty


def _one_code(table: int, symbol: int) -> bytes:
    """A Huffman table with one code, the bit 0."""
    return bytes((table, 1, *[0] * 15, symbol))


def _segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def _packed(bits: str) -> bytes:
    """Bits as bytes of a scan: filled up with ones, a zero behind each FF."""
    padded = bits + "1" * (-len(bits) % 8)
    return int(padded, 2).to_bytes(len(padded) // 8, "big").replace(b"\xff", b"\xff\0")


def broken_animation() -> bytes:
    """A PNG whose animation ends within its second frame: it crashed OpenCV 5's reader."""
    picture = Image.fromarray(np.zeros((48, 64, 3), np.uint8))
    data = encode(picture, "PNG", save_all=True, append_images=[picture.rotate(90)] * 3)
    return data[: data.rindex(b"fdAT") + 20]


def large_pictures(side: int = SIDE) -> dict[str, bytes]:
    """A picture of side x side pixels in every format, some hundred kilobytes each."""
    grey = Image.new("L", (side, side))
    colour = Image.new("RGB", (side, side))
    return {
        "JPEG": encode(grey, "JPEG"),
        "PNG": encode(colour, "PNG"),
        "PNG 16 bits": encode(Image.new("I;16", (side, side)), "PNG"),
        "WebP": encode(colour, "WEBP", method=0),
        "GIF": encode(Image.new("P", (side, side)), "GIF"),
        "BMP": _bmp(side),
        "TIFF": encode(colour, "TIFF", compression="tiff_adobe_deflate"),
    }


def _bmp(side: int) -> bytes:
    """A run-length encoded file, in runs of 250 pixels."""
    pixels = (b"\xfa\0" * (side // 250) + b"\0\0") * side + b"\0\1"
    sizes = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 8, 1, len(pixels), 0, 0, 1, 0)
    start = 14 + len(sizes) + 4
    return (
        b"BM" + struct.pack("<IHHI", start + len(pixels), 0, 0, start) + sizes + bytes(4) + pixels
    )


SPECIMENS: dict[str, Callable[[], bytes]] = {
    "a TIFF with a huge tile": huge_tile,
    "a TIFF with a long strip": long_strip,
    "a JPEG of 85 scans": progressive_scans,
    "a PDF of nested forms": lambda: nested_forms(12, 10),
    "a PNG with a broken animation": broken_animation,
}
