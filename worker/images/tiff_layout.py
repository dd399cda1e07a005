"""How the first page of a TIFF file is laid out, and what decoding it takes; no pixel is decoded.

Numbers are those of TIFF 6.0 (Adobe, 1992) and of libtiff's `tiff.h`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from worker.images.tiff import first_fields, is_big_endian
from worker.images.tiff_fax import MAX_RUNS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from worker.images.tiff import Field

__all__ = [
    "BLOCK_PIXELS",
    "FAX",
    "LZMA_MEMORY",
    "MAX_SAMPLES",
    "Compression",
    "Layout",
    "Photometric",
    "Segment",
    "read_layout",
]

BLOCK_PIXELS = 2**16
"""Pixels that are converted to BGR at a time."""

MAX_SAMPLES = 16
"""Most samples of one pixel."""

LZMA_MEMORY = 70 * 2**20
"""Bytes that an LZMA stream may take for its dictionary: what the highest preset does."""

_MAX_SEGMENTS = 2**17
"""Most strips or tiles of one page: however small, each costs a few microseconds."""

_BYTES_PER_BLOCK_PIXEL = 48
"""What a pixel takes while it is converted: a few copies of up to 16 bits a channel."""

_BYTES_PER_RUN, _BYTES_PER_FAX_BYTE = 32, 9
"""What a run of a fax image, and a byte of its code, take while they become pixels."""


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

_PREDICTED = frozenset(
    {
        Compression.LZW,
        Compression.ADOBE_DEFLATE,
        Compression.DEFLATE,
        Compression.LZMA,
        Compression.ZSTD,
    }
)
"""The compressions that heed a predictor."""


class _Tag(enum.IntEnum):
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


@dataclass(frozen=True, slots=True)
class Segment:
    """One strip or tile: where it belongs in the image, and its number in each plane.

    Attributes:
        rows: of the image that it holds; a tile may have more.
        columns: the same.
    """

    index: int
    top: int
    left: int
    rows: int
    columns: int


@dataclass(frozen=True, slots=True)
class Layout:
    """The first page of a TIFF file, as its directory describes it.

    Attributes:
        width: pixels per row, before the orientation is applied.
        height: rows.
        orientation: 1 to 8, as in EXIF.
        bits: of each sample in turn, as many as there are samples.
        samples: per pixel.
        formats: of the samples: 1 unsigned, 2 signed, 3 floating point.
        extras: what the samples behind the colour are: 0 unknown, 1 premultiplied alpha, 2 alpha.
        separate: whether each sample has a plane of its own.
        tiled: whether the segments are tiles, all of the same size, and no strips.
        segment_width: pixels per row of a strip or tile.
        segment_height: rows of a strip or tile; the last strip may have fewer.
        subsampling: pixels across and down that share the colour of `YCBCR`.
    """

    width: int
    height: int
    orientation: int
    bits: tuple[int, ...]
    samples: int
    formats: frozenset[int]
    compression: int
    photometric: int
    extras: tuple[int, ...]
    separate: bool
    tiled: bool
    segment_width: int
    segment_height: int
    subsampling: tuple[int, int]
    predictor: int
    reversed_bits: bool
    big_endian: bool
    file_bytes: int
    fields: Mapping[int, Field]

    @property
    def channels(self) -> int:
        """Samples that make the colour."""
        try:
            return Photometric(self.photometric).channels
        except ValueError:
            return 1

    @property
    def across(self) -> int:
        """Segments beside each other."""
        return ceil(self.width / self.segment_width)

    @property
    def down(self) -> int:
        """Segments above each other."""
        return ceil(self.height / self.segment_height)

    @property
    def coded_width(self) -> int:
        """Pixels per row that are decoded: those of whole tiles."""
        return self.across * self.segment_width

    @property
    def coded_height(self) -> int:
        """Rows that are decoded: those of whole tiles."""
        return self.down * self.segment_height if self.tiled else self.height

    @property
    def coded_pixels(self) -> int:
        """Pixels that are decoded."""
        return self.coded_width * self.coded_height

    @property
    def decoded_bytes(self) -> int:
        """Most bytes that decoding holds at a time, the image included."""
        image = self.width * self.height * 3
        block = min(self.width * self.height, BLOCK_PIXELS) * _BYTES_PER_BLOCK_PIXEL
        turned = image if self.orientation != 1 else 0
        return image + max(self._segment_bytes + block, turned)

    @property
    def _segment_bytes(self) -> int:
        pixels = self.segment_width * self.segment_height
        samples, bits = pixels * self.samples, max(self.bits)
        packed = ceil(samples * bits / 8)
        # Bytes and pairs of bytes are used where they are, other sizes unpacked into copies.
        held = packed if bits in (8, 16) else 2 * packed + samples * (2 if bits < 8 else 3)
        if self.compression == Compression.LZMA:
            held += 2 * packed + LZMA_MEMORY  # pieces, joined and copied
        if self.compression in (Compression.JPEG, Compression.WEBP):
            held *= 3  # the decoders hold a progressive or lossless image as a whole
        if self.compression in FAX:
            held += min(self.file_bytes, pixels * 2) * _BYTES_PER_FAX_BYTE
            held += min(pixels, MAX_RUNS) * _BYTES_PER_RUN
        return held + (samples if self.separate else 0)

    @property
    def inverted(self) -> bool:
        """Whether 0 stands for white."""
        return self.photometric == Photometric.WHITE_IS_ZERO

    @property
    def colour(self) -> int:
        """What the samples stand for once they are decoded: JPEG makes RGB of YCbCr."""
        decoded = self.compression == Compression.JPEG and self.photometric == Photometric.YCBCR
        return Photometric.RGB if decoded and not self.separate else self.photometric

    @property
    def subsampled(self) -> bool:
        """Whether the samples of `YCBCR` are stored in units of several pixels."""
        return self.colour == Photometric.YCBCR and not self.separate and self.subsampling != (1, 1)

    @property
    def predicted(self) -> bool:
        """Whether samples are stored as differences to their left neighbours."""
        return self.predictor != 1 and self.compression in _PREDICTED

    @property
    def t4_options(self) -> int:
        """Options of CCITT group 3: the lowest bit tells two-dimensional coding."""
        return _number(self.fields, _Tag.T4_OPTIONS, 0)

    @property
    def ink_set(self) -> int:
        """1 when four samples are cyan, magenta, yellow and black."""
        return _number(self.fields, _Tag.INK_SET, 1)

    @property
    def depth(self) -> int:
        """Layers of a volume; 1 for an image."""
        return _number(self.fields, _Tag.DEPTH, 1)

    @property
    def jpeg_tables(self) -> bytes:
        """A JPEG stream of tables that all segments share, or nothing."""
        field = self.fields.get(_Tag.JPEG_TABLES)
        return field.raw if field else b""

    @property
    def plain_ycbcr(self) -> bool:
        """Whether `YCBCR` is that of JPEG: the coefficients of Rec. 601, the full range."""
        coefficients = self.fields.get(_Tag.YCBCR_COEFFICIENTS)
        reference = self.fields.get(_Tag.REFERENCE_BLACK_WHITE)
        weights = (0.299, 0.587, 0.114)
        return (coefficients is None or _near(coefficients, weights, 0.001)) and (
            reference is None or _near(reference, (0, 255, 128, 255, 128, 255), 1)
        )

    def colour_map(self) -> tuple[int, ...]:
        """The palette, 16 bits each: all reds, then all greens, then all blues.

        Raises:
            ValueError: it is missing, cut off or out of range.
        """
        field = self.fields.get(_Tag.COLOUR_MAP)
        size = 3 << self.bits[0]
        numbers = field.numbers(size) if field else ()
        if len(numbers) < size:
            raise ValueError("its palette is missing or cut off")
        if max(numbers) > 0xFFFF:
            raise ValueError("its palette has colours of more than 16 bits")
        return numbers

    def segments(self) -> Iterator[Segment]:
        """The strips or tiles of one plane, in the order of the file."""
        for row in range(self.down):
            top = row * self.segment_height
            rows = min(self.segment_height, self.height - top)
            for column in range(self.across):
                left = column * self.segment_width
                columns = min(self.segment_width, self.width - left)
                yield Segment(row * self.across + column, top, left, rows, columns)

    def places(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Offsets and sizes in bytes of all segments, plane by plane.

        Sizes are empty where the file has none, as old uncompressed files do.

        Raises:
            ValueError: some are missing, or there are absurdly many.
        """
        count = self.across * self.down * (self.samples if self.separate else 1)
        if count > _MAX_SEGMENTS:
            raise ValueError(f"it has {count} strips or tiles, more than {_MAX_SEGMENTS}")
        # Some writers file the tiles under the tags of strips.
        offsets = self.fields.get(_Tag.TILE_OFFSETS) if self.tiled else None
        sizes = self.fields.get(_Tag.TILE_BYTES) if self.tiled else None
        offsets = offsets or self.fields.get(_Tag.STRIP_OFFSETS)
        sizes = sizes or self.fields.get(_Tag.STRIP_BYTES)
        starts = offsets.numbers(count) if offsets else ()
        lengths = sizes.numbers(count) if sizes else ()
        if len(starts) < count or (lengths and len(lengths) < count):
            kind = "tiles" if self.tiled else "strips"
            raise ValueError(f"its directory says where {len(starts)} of {count} {kind} are")
        return starts, lengths


def read_layout(data: bytes) -> Layout:
    """Read the directory of the first page.

    Raises:
        ValueError: `data` is no TIFF, its directory is cut off, or contradicts itself.
    """
    fields = first_fields(data, frozenset(_Tag))
    width, height = (_number(fields, tag, 0) for tag in (_Tag.WIDTH, _Tag.HEIGHT))
    samples = max(1, _number(fields, _Tag.SAMPLES, 1))
    tiled = _Tag.TILE_WIDTH in fields and _Tag.TILE_HEIGHT in fields
    if tiled:
        across, down = (_number(fields, tag, 0) for tag in (_Tag.TILE_WIDTH, _Tag.TILE_HEIGHT))
    else:
        across, down = width, min(height, _number(fields, _Tag.ROWS_PER_STRIP, height))
    if width and height and not (across and down):
        raise ValueError("its strips or tiles are empty")
    orientation = _number(fields, _Tag.ORIENTATION, 1)
    shared = _numbers(fields, _Tag.YCBCR_SUBSAMPLING, 2) or (2, 2)
    return Layout(
        width=width,
        height=height,
        orientation=orientation if 1 <= orientation <= 8 else 1,
        bits=_bits(fields, samples),
        samples=samples,
        formats=frozenset(_numbers(fields, _Tag.SAMPLE_FORMAT, samples) or (1,)),
        compression=_number(fields, _Tag.COMPRESSION, 1),
        photometric=_photometric(fields, samples),
        extras=_numbers(fields, _Tag.EXTRA_SAMPLES, MAX_SAMPLES),
        separate=_number(fields, _Tag.PLANAR, 1) == 2 and samples > 1,
        tiled=tiled,
        segment_width=max(1, across),
        segment_height=max(1, down),
        subsampling=(shared[0], shared[-1]),
        predictor=_number(fields, _Tag.PREDICTOR, 1),
        reversed_bits=_number(fields, _Tag.FILL_ORDER, 1) == 2,
        big_endian=is_big_endian(data),
        file_bytes=len(data),
        fields=fields,
    )


def _number(fields: Mapping[int, Field], tag: _Tag, default: int) -> int:
    return next(iter(_numbers(fields, tag, 1)), default)


def _numbers(fields: Mapping[int, Field], tag: _Tag, most: int) -> tuple[int, ...]:
    field = fields.get(tag)
    return field.numbers(most) if field else ()


def _bits(fields: Mapping[int, Field], samples: int) -> tuple[int, ...]:
    bits = _numbers(fields, _Tag.BITS, min(samples, MAX_SAMPLES)) or (1,)
    return bits * min(samples, MAX_SAMPLES) if len(bits) == 1 else bits


def _photometric(fields: Mapping[int, Field], samples: int) -> int:
    """As the directory says; some writers leave it out, and libtiff guesses like this."""
    fax = _number(fields, _Tag.COMPRESSION, 1) in FAX
    grey = Photometric.WHITE_IS_ZERO if fax else Photometric.BLACK_IS_ZERO
    found = _number(fields, _Tag.PHOTOMETRIC, Photometric.RGB if samples >= 3 else grey)
    # A grey image among the YCbCr ones of a set keeps their tag.
    return Photometric.BLACK_IS_ZERO if found == Photometric.YCBCR and samples == 1 else found


def _near(field: Field, wanted: tuple[float, ...], tolerance: float) -> bool:
    found = field.ratios()
    return len(found) == len(wanted) and all(
        abs(float(one) - other) <= tolerance for one, other in zip(found, wanted, strict=True)
    )
