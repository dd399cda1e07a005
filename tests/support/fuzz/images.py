"""Targets: image files, their headers first, and what of them our own code takes apart."""

from __future__ import annotations

import struct
from contextlib import suppress

import numpy as np

from tests.support.fuzz.target import MiB, Pieces, check_refusal, target
from worker.errors import JobError, Reason
from worker.images.bmp import read_bmp_header, unpack_fields, with_usual_header
from worker.images.decode import decode as decode_image
from worker.images.decode import inspect, read_header
from worker.images.decode_errors import UnsupportedError
from worker.images.gif import first_frame, read_gif_size
from worker.images.jpeg import read_jpeg_header
from worker.images.jpeg_repair import without_oddities
from worker.images.png import read_png_size, still_png
from worker.images.sniffing import refuse_unknown, sniff
from worker.images.tiff import page_offsets, with_first_page
from worker.images.tiff_cost import decoded_bytes
from worker.images.tiff_fax import FaxDecoder, FaxKind, TooManyRunsError
from worker.images.tiff_layout import read_layout
from worker.images.tiff_support import check_supported
from worker.settings import DecodeSettings

# A header may be changed to announce more: large enough to be decoded, small enough to be quick.
LIMITS = DecodeSettings(max_pixels=250_000, max_side=5_000)

REFUSALS = (
    Reason.TOO_LARGE,
    Reason.TOO_MANY_PIXELS,
    Reason.NOT_AN_IMAGE,
    Reason.CORRUPT_IMAGE,
)


@target(longest=300)
def sniffing(data: bytes) -> None:
    """Any bytes are of a known format, or refused by name; both functions agree."""
    try:
        found = sniff(data)
    except JobError as error:
        check_refusal(error, Reason.NOT_AN_IMAGE)
    else:
        assert found.magic.match(data)
        refuse_unknown(data)
    with suppress(JobError):
        refuse_unknown(data)


@target(longest=4096, examples=500)
def image_header(data: bytes) -> None:
    """A header is read without a pixel, and what it announces is judged."""
    try:
        header = read_header(data)
    except JobError as error:
        check_refusal(error, Reason.NOT_AN_IMAGE, Reason.CORRUPT_IMAGE)
        return
    assert header.width >= 1
    assert header.height >= 1
    assert 1 <= header.orientation <= 8
    assert header.decoded_bytes >= 3 * header.width * header.height
    try:
        inspect(data, LIMITS)
    except JobError as error:
        check_refusal(error, Reason.TOO_MANY_PIXELS)
    else:
        assert header.width * header.height <= LIMITS.max_pixels


@target(longest=4096)
def jpeg(data: bytes) -> None:
    """What is taken out of a JPEG changes neither its size nor its components."""
    data = b"\xff\xd8" + data
    try:
        header = read_jpeg_header(data)
    except ValueError:
        return
    assert header.components >= 1
    for padding in (True, False):
        with suppress(ValueError):
            plain = without_oddities(data, padding=padding)
            assert plain.startswith(b"\xff\xd8")
            # An Adobe or JFIF header may be added, which says what the colours were.
            assert len(plain) <= len(data) + 64
            again = read_jpeg_header(plain)
            assert (again.width, again.height) == (header.width, header.height)
            assert again.components == header.components


@target(longest=4096)
def png(data: bytes) -> None:
    """A PNG without its animation is of the same size, and stays as it is when done again."""
    data = b"\x89PNG\r\n\x1a\n" + data
    try:
        size = read_png_size(data)
        still = still_png(data)
    except ValueError:
        return
    assert len(still) <= len(data)
    assert read_png_size(still) == size
    assert still_png(still) == still
    for name in (b"acTL", b"fcTL", b"fdAT", b"iCCP", b"zTXt"):
        assert still.count(name) <= data.count(name)


@target(longest=4096)
def gif(data: bytes) -> None:
    """A GIF's first frame alone fits on its screen, and stays as it is when done again."""
    data = b"GIF89a" + data
    try:
        width, height = read_gif_size(data)
        alone = first_frame(data)
    except ValueError:
        return
    assert len(alone) <= len(data) + 16
    assert read_gif_size(alone) == (width, height)
    assert first_frame(alone) == alone


@target(longest=4096)
def bmp(data: bytes) -> None:
    """A BMP's header is read; another header in its place says the same."""
    data = b"BM" + data
    try:
        header = read_bmp_header(data)
    except ValueError:
        return
    assert header.height >= 0
    with suppress(ValueError):
        usual = read_bmp_header(with_usual_header(data, header))
        assert (usual.width, usual.height) == (header.width, header.height)
        assert usual.depth == header.depth
    if header.masks is not None and 0 < header.width * header.height <= 2**14:
        with suppress(ValueError):
            pixels = unpack_fields(data, header)
            assert pixels.shape == (header.height, header.width, 3)


@target(longest=4096, examples=500)
def tiff(data: bytes) -> None:
    """A TIFF's first directory is read within bounds, whatever it points to."""
    order = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")[data[0] & 3] if data else b"II*\0"
    data = order + data[1:]
    pages = page_offsets(data)
    assert len(pages) <= 100_000
    for offset in pages[:3]:
        assert len(with_first_page(data, offset)) == len(data)
    try:
        layout = read_layout(data)
    except (UnsupportedError, ValueError, struct.error):
        return
    except JobError as error:
        check_refusal(error, *REFUSALS)
        return
    with suppress(JobError, ValueError):
        check_supported(layout)
        assert decoded_bytes(layout) >= layout.width * layout.height * 3
        if layout.across * layout.down <= 1000:
            starts, sizes = layout.places()
            assert not sizes or len(starts) == len(sizes)


@target(longest=512)
def tiff_fax(data: bytes) -> None:
    """Our decoder of fax codes gives whole lines of black and white, or refuses."""
    pieces = Pieces(data)
    flags, width, height = pieces.number(), pieces.number() + 1, pieces.number() % 64 + 1
    kind = FaxKind(bool(flags & 1), bool(flags & 2), 8 if flags & 4 else 1)
    with suppress(ValueError, TooManyRunsError):
        pixels = FaxDecoder(kind).decode(pieces.rest(), width, height)
        assert pixels.shape == (height, width)
        assert pixels.dtype == np.uint8
        assert pixels.max() <= 1


def check_decode(data: bytes) -> None:
    """Any bytes are an image, upright, in colour and contiguous, or refused in a sentence."""
    try:
        pixels = decode_image(data, LIMITS)
    except JobError as error:
        check_refusal(error, *REFUSALS, longest=400)
        return
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3
    assert pixels.flags.c_contiguous
    assert 1 <= pixels.shape[0] * pixels.shape[1] <= LIMITS.max_pixels


@target(longest=4096, most_memory=64 * MiB, examples=800)
def decode(data: bytes) -> None:
    """Files of all formats, decoded by the libraries."""
    check_decode(data)


@target(longest=4096, most_memory=128 * MiB, examples=600)
def decode_tiff(data: bytes) -> None:
    """TIFF files of all kinds, decoded by the libraries."""
    check_decode((b"II" if data[:1] != b"M" else b"MM") + data[2:])
