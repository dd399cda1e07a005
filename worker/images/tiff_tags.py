"""The numbers of TIFF 6.0 (Adobe, 1992) and of libtiff's `tiff.h` that are used here."""

from __future__ import annotations

import enum

__all__ = ["FAX", "PREDICTED", "Compression", "Photometric", "Tag"]


class Photometric(enum.IntEnum):
    """What the samples of a pixel stand for."""

    WHITE_IS_ZERO = 0
    BLACK_IS_ZERO = 1
    RGB = 2
    PALETTE = 3
    CMYK = 5
    YCBCR = 6
    LAB = 8

    @property
    def channels(self) -> int:
        """Samples that make the colour; further ones are alpha or unknown."""
        return _CHANNELS.get(self, 1)


_CHANNELS = {Photometric.RGB: 3, Photometric.CMYK: 4, Photometric.YCBCR: 3, Photometric.LAB: 3}


class Compression(enum.IntEnum):
    """The compressions that are decoded."""

    NONE = 1
    CCITT_RLE = 2
    CCITT_GROUP_3 = 3
    CCITT_GROUP_4 = 4
    LZW = 5
    JPEG = 7
    ADOBE_DEFLATE = 8
    CCITT_RLE_WORDS = 32771
    PACKBITS = 32773
    DEFLATE = 32946
    LZMA = 34925
    ZSTD = 50000
    WEBP = 50001


FAX = frozenset(
    {
        Compression.CCITT_RLE,
        Compression.CCITT_GROUP_3,
        Compression.CCITT_GROUP_4,
        Compression.CCITT_RLE_WORDS,
    }
)
"""The compressions of black and white alone."""

PREDICTED = frozenset(
    {
        Compression.LZW,
        Compression.ADOBE_DEFLATE,
        Compression.DEFLATE,
        Compression.LZMA,
        Compression.ZSTD,
    }
)
"""The compressions that use a predictor."""


class Tag(enum.IntEnum):
    """The fields of a directory that are read."""

    WIDTH = 256
    HEIGHT = 257
    BITS = 258
    COMPRESSION = 259
    PHOTOMETRIC = 262
    FILL_ORDER = 266
    STRIP_OFFSETS = 273
    ORIENTATION = 274
    SAMPLES = 277
    ROWS_PER_STRIP = 278
    STRIP_BYTES = 279
    PLANAR = 284
    T4_OPTIONS = 292
    PREDICTOR = 317
    COLOUR_MAP = 320
    TILE_WIDTH = 322
    TILE_HEIGHT = 323
    TILE_OFFSETS = 324
    TILE_BYTES = 325
    INK_SET = 332
    EXTRA_SAMPLES = 338
    SAMPLE_FORMAT = 339
    JPEG_TABLES = 347
    YCBCR_COEFFICIENTS = 529
    YCBCR_SUBSAMPLING = 530
    REFERENCE_BLACK_WHITE = 532
    DEPTH = 32997
