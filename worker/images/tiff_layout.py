"""How the first page of a TIFF file is laid out; no pixel is decoded."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from worker.images.tiff import first_fields, is_big_endian
from worker.images.tiff_tags import FAX, PREDICTED, Compression, Photometric, Tag

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from worker.images.tiff import Field

__all__ = ["MAX_SAMPLES", "Layout", "Segment", "read_layout"]

MAX_SAMPLES = 16
"""Most samples of one pixel."""

_MAX_SEGMENTS = 2**17
"""Most strips or tiles of one page: however small, each costs a few microseconds."""


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
        return self.predictor != 1 and self.compression in PREDICTED

    @property
    def t4_options(self) -> int:
        """Options of CCITT group 3: the lowest bit tells two-dimensional coding."""
        return _number(self.fields, Tag.T4_OPTIONS, 0)

    @property
    def ink_set(self) -> int:
        """1 when four samples are cyan, magenta, yellow and black."""
        return _number(self.fields, Tag.INK_SET, 1)

    @property
    def depth(self) -> int:
        """Layers of a volume; 1 for an image."""
        return _number(self.fields, Tag.DEPTH, 1)

    @property
    def jpeg_tables(self) -> bytes:
        """A JPEG stream of tables that all segments share, or nothing."""
        field = self.fields.get(Tag.JPEG_TABLES)
        return field.raw if field else b""

    @property
    def plain_ycbcr(self) -> bool:
        """Whether `YCBCR` is that of JPEG: the coefficients of Rec. 601, the full range."""
        coefficients = self.fields.get(Tag.YCBCR_COEFFICIENTS)
        reference = self.fields.get(Tag.REFERENCE_BLACK_WHITE)
        weights = (0.299, 0.587, 0.114)
        return (coefficients is None or _near(coefficients, weights, 0.001)) and (
            reference is None or _near(reference, (0, 255, 128, 255, 128, 255), 1)
        )

    def colour_map(self) -> tuple[int, ...]:
        """Read the palette.

        Returns:
            16 bits each: all reds, then all greens, then all blues.

        Raises:
            ValueError: it is missing, cut off or out of range.
        """
        field = self.fields.get(Tag.COLOUR_MAP)
        size = 3 << self.bits[0]
        numbers = field.numbers(size) if field else ()
        if len(numbers) < size:
            raise ValueError("its palette is missing or cut off")
        if max(numbers) > 0xFFFF:
            raise ValueError("its palette has colours of more than 16 bits")
        return numbers

    def segments(self) -> Iterator[Segment]:
        """Divide one plane into its strips or tiles.

        Returns:
            The strips or tiles, in the order of the file.
        """
        for row in range(self.down):
            top = row * self.segment_height
            rows = min(self.segment_height, self.height - top)
            for column in range(self.across):
                left = column * self.segment_width
                columns = min(self.segment_width, self.width - left)
                yield Segment(row * self.across + column, top, left, rows, columns)

    def places(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Find the bytes of all segments.

        Sizes are empty where the file has none, as old uncompressed files do.

        Returns:
            Offsets and sizes in bytes, plane by plane.

        Raises:
            ValueError: some are missing, or there are absurdly many.
        """
        count = self.across * self.down * (self.samples if self.separate else 1)
        if count > _MAX_SEGMENTS:
            raise ValueError(f"it has {count} strips or tiles, more than {_MAX_SEGMENTS}")
        # Some writers file the tiles under the tags of strips.
        offsets = self.fields.get(Tag.TILE_OFFSETS) if self.tiled else None
        sizes = self.fields.get(Tag.TILE_BYTES) if self.tiled else None
        offsets = offsets or self.fields.get(Tag.STRIP_OFFSETS)
        sizes = sizes or self.fields.get(Tag.STRIP_BYTES)
        starts = offsets.numbers(count) if offsets else ()
        lengths = sizes.numbers(count) if sizes else ()
        if len(starts) < count or (lengths and len(lengths) < count):
            kind = "tiles" if self.tiled else "strips"
            raise ValueError(f"its directory says where {len(starts)} of {count} {kind} are")
        return starts, lengths


def read_layout(data: bytes) -> Layout:
    """Read the directory of the first page.

    Returns:
        How the first page's samples are arranged and compressed.

    Raises:
        ValueError: `data` is no TIFF, its directory is cut off, or contradicts itself.
    """
    fields = first_fields(data, frozenset(Tag))
    width, height = (_number(fields, tag, 0) for tag in (Tag.WIDTH, Tag.HEIGHT))
    samples = max(1, _number(fields, Tag.SAMPLES, 1))
    tiled = Tag.TILE_WIDTH in fields and Tag.TILE_HEIGHT in fields
    if tiled:
        across, down = (_number(fields, tag, 0) for tag in (Tag.TILE_WIDTH, Tag.TILE_HEIGHT))
    else:
        across, down = width, min(height, _number(fields, Tag.ROWS_PER_STRIP, height))
    if width and height and not (across and down):
        raise ValueError("its strips or tiles are empty")
    orientation = _number(fields, Tag.ORIENTATION, 1)
    shared = _numbers(fields, Tag.YCBCR_SUBSAMPLING, 2) or (2, 2)
    return Layout(
        width=width,
        height=height,
        orientation=orientation if 1 <= orientation <= 8 else 1,
        bits=_bits(fields, samples),
        samples=samples,
        formats=frozenset(_numbers(fields, Tag.SAMPLE_FORMAT, samples) or (1,)),
        compression=_number(fields, Tag.COMPRESSION, 1),
        photometric=_photometric(fields, samples),
        extras=_numbers(fields, Tag.EXTRA_SAMPLES, MAX_SAMPLES),
        separate=_number(fields, Tag.PLANAR, 1) == 2 and samples > 1,
        tiled=tiled,
        segment_width=max(1, across),
        segment_height=max(1, down),
        subsampling=(shared[0], shared[-1]),
        predictor=_number(fields, Tag.PREDICTOR, 1),
        reversed_bits=_number(fields, Tag.FILL_ORDER, 1) == 2,
        big_endian=is_big_endian(data),
        file_bytes=len(data),
        fields=fields,
    )


def _number(fields: Mapping[int, Field], tag: Tag, default: int) -> int:
    return next(iter(_numbers(fields, tag, 1)), default)


def _numbers(fields: Mapping[int, Field], tag: Tag, most: int) -> tuple[int, ...]:
    field = fields.get(tag)
    return field.numbers(most) if field else ()


def _bits(fields: Mapping[int, Field], samples: int) -> tuple[int, ...]:
    bits = _numbers(fields, Tag.BITS, min(samples, MAX_SAMPLES)) or (1,)
    return bits * min(samples, MAX_SAMPLES) if len(bits) == 1 else bits


def _photometric(fields: Mapping[int, Field], samples: int) -> int:
    """As the directory says; some writers leave it out, and libtiff guesses like this."""
    fax = _number(fields, Tag.COMPRESSION, 1) in FAX
    grey = Photometric.WHITE_IS_ZERO if fax else Photometric.BLACK_IS_ZERO
    found = _number(fields, Tag.PHOTOMETRIC, Photometric.RGB if samples >= 3 else grey)
    # A grey image among the YCbCr ones of a set keeps their tag.
    return Photometric.BLACK_IS_ZERO if found == Photometric.YCBCR and samples == 1 else found


def _near(field: Field, wanted: tuple[float, ...], tolerance: float) -> bool:
    found = field.ratios()
    return len(found) == len(wanted) and all(
        abs(float(one) - other) <= tolerance for one, other in zip(found, wanted, strict=True)
    )
