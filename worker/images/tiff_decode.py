"""The first page of a TIFF file, decoded strictly: every strip and tile is whole, or none is used.

libtiff, in OpenCV and in Pillow, fills up what it cannot decode; docs/images.md has the figures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from worker.images.tiff_colour import ColourConverter
from worker.images.tiff_fax import MAX_RUNS, TooManyRunsError
from worker.images.tiff_jpeg import UnusualJpegError
from worker.images.tiff_segments import SegmentDecoder
from worker.images.tiff_support import unsupported
from worker.images.tiff_tags import Compression

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from worker.images.tiff_layout import Layout, Segment

__all__ = ["decode_tiff"]

_SHARED_BYTES = 8192
"""Encoded bytes of a strip or tile that several may share, as blank ones do."""


def decode_tiff(data: bytes, layout: Layout) -> npt.NDArray[np.uint8]:
    """Decode the first page of `data`.

    Args:
        layout: what its directory says; it must be a supported one, of an accepted size.

    Returns:
        `[H, W, 3] uint8` BGR as stored: the orientation is not applied.

    Raises:
        ValueError, RuntimeError: it is cut off or damaged; the message says where.
        JobError: `NOT_AN_IMAGE`, when no decoder here reads this kind of TIFF.
    """
    if layout.samples < layout.channels:
        raise ValueError(f"it has {layout.samples} of {layout.channels} samples per pixel")
    decoder, converter = SegmentDecoder(layout), ColourConverter(layout)
    pixels = np.empty((layout.height, layout.width, 3), np.uint8)
    try:
        for segment, samples in _segments(data, layout, decoder):
            rows = slice(segment.top, segment.top + segment.rows)
            columns = slice(segment.left, segment.left + segment.columns)
            converter.write(samples, pixels[rows, columns])
    except UnusualJpegError as error:
        raise unsupported(f"the TIFF file is {error}") from error
    except TooManyRunsError as error:
        raise unsupported(
            f"the TIFF file has more than {MAX_RUNS} runs of black and white in fax compression"
        ) from error
    return pixels


def _segments(
    data: bytes, layout: Layout, decoder: SegmentDecoder
) -> Iterator[tuple[Segment, npt.NDArray[np.uint8]]]:
    """Each strip or tile with its samples, `[rows, columns, samples] uint8`."""
    starts, sizes = layout.places()
    if layout.compression != Compression.NONE:
        _check_total(len(data), sizes)
    plane = layout.across * layout.down
    planes = _planes(layout)
    for segment in layout.segments():
        rows = layout.segment_height if layout.tiled else segment.rows
        parts = []
        for place in range(segment.index, segment.index + planes * plane, plane):
            end = starts[place] + sizes[place] if sizes else len(data)
            raw = data[starts[place] : end]
            if not raw:
                raise ValueError(f"strip or tile {place} is empty or beyond the end")
            try:
                samples = decoder.decode(raw, rows)[: segment.rows, : segment.columns]
            except (ValueError, RuntimeError) as error:
                raise ValueError(f"strip or tile {place}: {error}") from error
            if samples.shape[:2] != (segment.rows, segment.columns):
                raise ValueError(f"strip or tile {place} is too small")
            parts.append(samples)
        yield segment, parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)


def _planes(layout: Layout) -> int:
    """Planes that are needed: those of the colour, and of the alpha that it is multiplied by."""
    if not layout.separate:
        return 1
    return min(layout.samples, layout.channels + (layout.extras[:1] == (1,)))


def _check_total(size: int, sizes: tuple[int, ...]) -> None:
    """Refuse what would have the same bytes decoded again and again.

    Raises:
        ValueError: the strips or tiles share much, or none says how many bytes it has.
    """
    if not sizes:
        raise ValueError("its directory does not say how many bytes its strips or tiles have")
    if sum(min(one, size) for one in sizes) > size + _SHARED_BYTES * len(sizes):
        raise ValueError("its strips or tiles overlap")
