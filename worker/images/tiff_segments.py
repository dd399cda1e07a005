"""From the bytes of one strip or tile of a TIFF file to its samples: all of them, or an error.

Each decompressor must give exactly as many bytes as the strip or tile has. libtiff, and with it
OpenCV and Pillow, gives what it has and fills the rest up (docs/images.md has the comparison).
"""

from __future__ import annotations

import lzma
from functools import partial
from math import ceil
from typing import TYPE_CHECKING

import numpy as np

from worker.images.codecs import imagecodecs
from worker.images.tiff_cost import LZMA_MEMORY
from worker.images.tiff_fax import FaxDecoder, FaxKind
from worker.images.tiff_jpeg import decode_tiff_jpeg
from worker.images.tiff_tags import Compression, Photometric

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    import numpy.typing as npt

    from worker.images.tiff_layout import Layout

__all__ = ["SegmentDecoder"]

# Looked up here so that each is loaded with the worker, not when memory may be short.
_reverse_bits, _undo_delta = imagecodecs.bitorder_decode, imagecodecs.delta_decode
_unpack_bits, _webp = imagecodecs.packints_decode, imagecodecs.webp_decode

_WEBP_MEMORY = 8
"""Bytes that libwebp takes for each sample, at most."""

_FILL_BYTES = 256
"""Most fill bits before a line of a fax image, in bytes and on the average."""

_FAX = {
    Compression.CCITT_RLE: FaxKind(align=8),
    Compression.CCITT_RLE_WORDS: FaxKind(align=16),
    Compression.CCITT_GROUP_3: FaxKind(line_ends=True),
    Compression.CCITT_GROUP_4: FaxKind(two_dimensional=True),
}
_GROUP_3_IN_TWO_DIMENSIONS = FaxKind(line_ends=True, two_dimensional=True)


class SegmentDecoder:
    """Decodes the strips or tiles of one page, whose layout must be a supported one."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._samples = 1 if layout.separate else layout.samples
        compression = Compression(layout.compression)
        kind = _FAX.get(compression)
        if compression is Compression.CCITT_GROUP_3 and layout.t4_options & 1:
            kind = _GROUP_3_IN_TWO_DIMENSIONS
        self._fax = FaxDecoder(kind) if kind else None
        self._compression = compression
        self._bits = layout.bits[0]

    def decode(self, raw: bytes, rows: int) -> npt.NDArray[np.uint8]:
        """Decode one of them.

        Args:
            raw: its bytes in the file.
            rows: that it must have.

        Returns:
            `[rows, segment_width, samples] uint8`; of edge tiles in JPEG there may be fewer
            columns. Samples go from 0 to 255, but those of a palette are its indexes.

        Raises:
            ValueError, RuntimeError: it is damaged; the message says how.
            TooManyRunsError, UnusualJpegError: it can be whole, but is not decoded here.
        """
        layout = self._layout
        if self._compression is Compression.JPEG:
            most = (layout.segment_width, layout.segment_height)
            ycbcr = layout.photometric == Photometric.YCBCR
            pixels = decode_tiff_jpeg(raw, layout.jpeg_tables, self._samples, most, ycbcr=ycbcr)
            return pixels[:rows]
        if self._compression is Compression.WEBP:
            return self._webp(raw)[:rows]
        if layout.reversed_bits:
            raw = bytes(_reverse_bits(raw))
        if self._fax:
            # Codes take at most 13 bits a pixel; what is beyond, fill bits aside, is not read.
            raw = raw[: rows * (2 * layout.segment_width + _FILL_BYTES)]
            pixels = self._fax.decode(raw, layout.segment_width, rows)[:, :, np.newaxis]
            return pixels if self._indexed else pixels * np.uint8(255)
        if layout.subsampled:
            return self._subsampled(raw, rows)
        row = ceil(layout.segment_width * self._samples * self._bits / 8)
        full = row * layout.segment_height
        return self._unpack(self._exactly(raw, row * rows, full)[: row * rows], rows)

    @property
    def _indexed(self) -> bool:
        return self._layout.photometric == Photometric.PALETTE

    def _exactly(self, raw: bytes, wanted: int, full: int) -> npt.NDArray[np.uint8]:
        """Exactly `wanted` bytes, or as many as a full strip or tile has."""
        if self._compression is Compression.NONE:
            found = np.frombuffer(raw, np.uint8)[:wanted]
        else:
            found = _DECOMPRESSORS[self._compression](raw, full)
        if found.size not in (wanted, full):
            raise ValueError(f"a strip or tile has {found.size} of {wanted} bytes")
        return found

    def _unpack(self, data: npt.NDArray[np.uint8], rows: int) -> npt.NDArray[np.uint8]:
        width, samples, bits = self._layout.segment_width, self._samples, self._bits
        shape = (rows, width, samples)
        if bits == 8:
            pixels = data.reshape(shape)
            return _undo_differences(pixels) if self._layout.predicted else pixels
        if bits == 16:
            order = ">" if self._layout.big_endian else "<"
            if self._layout.predicted:
                numbers = data.view(f"{order}u2").reshape(shape)
                data = _undo_differences(numbers).view(np.uint8)
            high = 0 if self._layout.big_endian else 1
            return data.reshape(*shape, 2)[..., high]
        kind = np.uint8 if bits < 8 else np.uint16
        numbers = _unpack_bits(data.tobytes(), kind, bits, runlen=width * samples)
        numbers = numbers.reshape(shape)
        if bits > 8:
            return (numbers >> (bits - 8)).astype(np.uint8)
        return numbers if self._indexed else np.take(_levels(bits), numbers)

    def _subsampled(self, raw: bytes, rows: int) -> npt.NDArray[np.uint8]:
        """YCbCr in units of a few luminances, one Cb and one Cr."""
        across, down = self._layout.subsampling
        units = ceil(self._layout.segment_width / across)
        lines = ceil(rows / down)
        unit = across * down + 2
        wanted, full = (
            ceil(some / down) * units * unit for some in (rows, self._layout.segment_height)
        )
        found = self._exactly(raw, wanted, full)[:wanted].reshape(lines, units, unit)
        light = found[:, :, :-2].reshape(lines, units, down, across)
        pixels = np.empty((lines * down, units * across, 3), np.uint8)
        pixels[:, :, 0] = light.transpose(0, 2, 1, 3).reshape(lines * down, units * across)
        for channel in (1, 2):
            colour = found[:, :, channel - 3]
            pixels[:, :, channel] = colour.repeat(down, axis=0).repeat(across, axis=1)
        return pixels[:rows, : self._layout.segment_width]

    def _webp(self, raw: bytes) -> npt.NDArray[np.uint8]:
        shape = (self._layout.segment_height, self._layout.segment_width, self._samples)
        # A stream of another size is refused before it is decoded.
        out = np.empty(shape, np.uint8)
        try:
            _webp(raw, hasalpha=self._samples == 4, out=out)
        except RuntimeError:
            # libwebp does not say why. Without room for what it takes, this raises MemoryError.
            np.empty(_WEBP_MEMORY * out.size, np.uint8)
            raise
        return out


def _undo_differences(pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    undone: npt.NDArray[Any] = _undo_delta(pixels, axis=1, out=pixels)
    return undone


def _levels(bits: int) -> npt.NDArray[np.uint8]:
    most = (1 << bits) - 1
    return np.array([(level * 255 + most // 2) // most for level in range(most + 1)], np.uint8)


def _inflate(decode: Callable[..., Any], raw: bytes, size: int) -> npt.NDArray[np.uint8]:
    """What `decode` makes of `raw`, which must not be more than `size` bytes."""
    found: npt.NDArray[np.uint8] = decode(raw, out=np.empty(size, np.uint8))
    return found


def _lzw(raw: bytes, size: int) -> npt.NDArray[np.uint8]:
    # It stops where its output is full: one byte more tells a stream that is too long.
    return _inflate(imagecodecs.lzw_decode, raw, size + 1)


def _packbits(raw: bytes, size: int) -> npt.NDArray[np.uint8]:
    try:
        return _inflate(imagecodecs.packbits_decode, raw, size)
    except RuntimeError:
        if not raw.endswith(b"\0"):
            raise
        # Some writers pad to an even number of bytes, and count the padding.
        return _inflate(imagecodecs.packbits_decode, raw[:-1], size)


def _lzma(raw: bytes, size: int) -> npt.NDArray[np.uint8]:
    decompressor = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=LZMA_MEMORY)
    try:
        found = decompressor.decompress(raw, size + 1)
    except lzma.LZMAError as error:
        raise ValueError(str(error)) from error
    if not decompressor.eof:
        raise ValueError("a stream does not end where it should")
    return np.frombuffer(found, np.uint8).copy()  # one that may be written to


_DECOMPRESSORS: Mapping[Compression, Callable[[bytes, int], npt.NDArray[np.uint8]]] = {
    Compression.LZW: _lzw,
    Compression.ADOBE_DEFLATE: partial(_inflate, imagecodecs.deflate_decode),
    Compression.DEFLATE: partial(_inflate, imagecodecs.deflate_decode),
    Compression.PACKBITS: _packbits,
    Compression.LZMA: _lzma,
    Compression.ZSTD: partial(_inflate, imagecodecs.zstd_decode),
}
