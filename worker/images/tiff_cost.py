"""How many bytes decoding a TIFF file holds at a time, computed from its layout."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from worker.images.tiff_fax import MAX_RUNS
from worker.images.tiff_tags import FAX, Compression

if TYPE_CHECKING:
    from worker.images.tiff_layout import Layout

__all__ = ["BLOCK_PIXELS", "LZMA_MEMORY", "decoded_bytes"]

BLOCK_PIXELS = 2**16
"""Pixels that are converted to BGR at a time."""

LZMA_MEMORY = 70 * 2**20
"""Bytes that an LZMA stream may take for its dictionary: what the highest preset does."""

_BYTES_PER_BLOCK_PIXEL = 48
"""What a pixel takes while it is converted: a few copies of up to 16 bits a channel."""

_BYTES_PER_RUN, _BYTES_PER_FAX_BYTE = 32, 9
"""What a run of a fax image, and a byte of its code, take while they become pixels."""


def decoded_bytes(layout: Layout) -> int:
    """Compute what decoding takes.

    Returns:
        Most bytes held at a time, the image included, the file not.
    """
    image = layout.width * layout.height * 3
    block = min(layout.width * layout.height, BLOCK_PIXELS) * _BYTES_PER_BLOCK_PIXEL
    turned = image if layout.orientation != 1 else 0
    return image + max(_segment_bytes(layout) + block, turned)


def _segment_bytes(layout: Layout) -> int:
    """Those of one strip or tile in all planes."""
    pixels = layout.segment_width * layout.segment_height
    samples, bits = pixels * layout.samples, max(layout.bits)
    packed = ceil(samples * bits / 8)
    # Bytes and pairs of bytes are used where they are, other sizes unpacked into copies.
    held = packed if bits in (8, 16) else 2 * packed + samples * (2 if bits < 8 else 3)
    if layout.compression == Compression.LZMA:
        held += 2 * packed + LZMA_MEMORY  # pieces, joined and copied
    if layout.compression in (Compression.JPEG, Compression.WEBP):
        held *= 3  # the decoders hold a progressive or lossless image as a whole
    if layout.compression in FAX:
        held += min(layout.file_bytes, pixels * 2) * _BYTES_PER_FAX_BYTE
        held += min(pixels, MAX_RUNS) * _BYTES_PER_RUN
    return held + (samples if layout.separate else 0)
