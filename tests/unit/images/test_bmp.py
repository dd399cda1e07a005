"""BMP whose pixels are packed into bit fields, behind every header there is."""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt
import pytest

from tests.support.make import noise, pillow_bgr
from worker.errors import JobError, Reason
from worker.images.decode import decode, inspect
from worker.settings import DecodeSettings

LIMITS = DecodeSettings()
RGB = noise(131, 77)
HEADERS = (40, 52, 56, 108, 124)

Masks = tuple[int, int, int]
M565, M555 = (0xF800, 0x07E0, 0x001F), (0x7C00, 0x03E0, 0x001F)
M888 = (0xFF0000, 0x00FF00, 0x0000FF)
UNCOMPRESSED, FIELDS, ALPHA_FIELDS = 0, 3, 6


def packed(depth: int, masks: Masks) -> npt.NDArray[np.uint32]:
    """`[H, W]` numbers that hold the picture's colours in the bits of the masks."""
    numbers = np.zeros(RGB.shape[:2], np.uint32)
    for channel, mask in enumerate(masks):
        lowest = (mask & -mask).bit_length() - 1
        most = mask >> lowest
        numbers |= np.uint32(RGB[:, :, channel].astype(np.uint64) * most // 255 << lowest)
    return numbers


def unpacked(numbers: npt.NDArray[np.uint32], masks: Masks) -> npt.NDArray[np.uint8]:
    """BGR, each field spread over the whole range and rounded down."""
    fields = [
        ((numbers.astype(np.uint64) & mask) // (mask & -mask)) * 255 // (mask // (mask & -mask))
        for mask in reversed(masks)
    ]
    return np.dstack(fields).astype(np.uint8)


def bmp(
    size: int,
    depth: int,
    compression: int,
    masks: Masks,
    *,
    top_down: bool = False,
    gap: int = 0,
) -> bytes:
    numbers = packed(depth, masks).astype(f"<u{depth // 8}")
    rows = numbers.view(np.uint8).reshape(len(numbers), -1)
    rows = np.pad(rows, ((0, 0), (0, -rows.shape[1] % 4)))
    pixels = (rows if top_down else rows[::-1]).tobytes()
    height, width = RGB.shape[:2]
    info = struct.pack(
        "<iiHHIIiiII", width, -height if top_down else height, 1, depth, compression, 0, 0, 0, 0, 0
    )
    if size == 12:
        info = struct.pack("<HHHH", width, height, 1, depth)
    elif size == 64:
        info = info.ljust(60, b"\0")
    elif size >= 52:
        info = (info + struct.pack("<III", *masks)).ljust(size - 4, b"\0")
    elif compression == FIELDS:
        info += struct.pack("<III", *masks)
    elif compression == ALPHA_FIELDS:
        info += struct.pack("<IIII", *masks, 0)
    else:
        info = info[: size - 4]
    header = struct.pack("<I", size) + info + bytes(gap)
    start = 14 + len(header)
    return b"BM" + struct.pack("<IHHI", start + len(pixels), 0, 0, start) + header + pixels


@pytest.mark.parametrize("size", HEADERS)
@pytest.mark.parametrize("masks", [M565, M555])
@pytest.mark.parametrize("top_down", [False, True])
def test_16_bits_are_the_pixels_of_an_independent_decoder(
    size: int, masks: Masks, top_down: bool
) -> None:
    data = bmp(size, 16, FIELDS, masks, top_down=top_down)
    assert np.array_equal(decode(data, LIMITS), pillow_bgr(data))


@pytest.mark.parametrize("size", [12, 40, 52, 56, 64, 108, 124])
def test_16_bits_without_masks_are_5_of_each(size: int) -> None:
    data = bmp(size, 16, UNCOMPRESSED, M555)
    assert np.array_equal(decode(data, LIMITS), pillow_bgr(data))


@pytest.mark.parametrize("size", HEADERS)
@pytest.mark.parametrize(
    ("depth", "masks"),
    [
        (16, (0x001F, 0x07E0, 0xF800)),
        (16, (0x0F00, 0x00F0, 0x000F)),
        (16, (0xE000, 0x1C00, 0x0300)),
        (16, (0x8000, 0x4000, 0x2000)),
        (32, M888),
        (32, (0x0000FF, 0x00FF00, 0xFF0000)),
        (32, (0xFF000000, 0x00FF0000, 0x0000FF00)),
        (32, (0x3FF00000, 0x000FFC00, 0x000003FF)),
        (32, (0xFFE00000, 0x001FFC00, 0x000003FF)),
    ],
)
def test_any_masks_behind_any_header(size: int, depth: int, masks: Masks) -> None:
    expected = unpacked(packed(depth, masks), masks)
    for top_down in (False, True):
        data = bmp(size, depth, FIELDS, masks, top_down=top_down)
        assert np.array_equal(decode(data, LIMITS), expected)


@pytest.mark.parametrize(("depth", "masks"), [(16, M565), (32, M888)])
def test_four_masks_behind_the_usual_header(depth: int, masks: Masks) -> None:
    data = bmp(40, depth, ALPHA_FIELDS, masks)
    assert np.array_equal(decode(data, LIMITS), unpacked(packed(depth, masks), masks))


@pytest.mark.parametrize("size", [16, 20, 24, 36, 40, 44, 48, 64])
@pytest.mark.parametrize("gap", [0, 10])
def test_the_short_and_long_headers_of_os2(size: int, gap: int) -> None:
    if 40 < size < 64:
        data = bmp(40, 32, UNCOMPRESSED, M888, gap=size - 40 + gap)
        data = data[:14] + struct.pack("<I", size) + data[18:]
    else:
        data = bmp(size, 32, UNCOMPRESSED, M888, gap=gap)
    assert np.array_equal(decode(data, LIMITS), RGB[:, :, ::-1])


@pytest.mark.parametrize(("depth", "masks"), [(16, M565), (32, (0xFF, 0xFF00, 0xFF0000))])
def test_a_file_that_is_cut_off_is_refused(depth: int, masks: Masks) -> None:
    data = bmp(40, depth, FIELDS, masks)
    for length in (*range(14, 70), len(data) // 2, len(data) - 1):
        with pytest.raises(JobError) as caught:
            decode(data[:length], LIMITS)
        assert caught.value.reason in (Reason.CORRUPT_IMAGE, Reason.NOT_AN_IMAGE)


@pytest.mark.parametrize(
    "masks", [(0, 0x7E0, 0x1F), (0xF00F, 0x7E0, 0x1F), (0x1F0000, 0x7E0, 0x1F)]
)
def test_masks_that_make_no_sense_are_damage(masks: Masks) -> None:
    data = bytearray(bmp(40, 16, FIELDS, M565))
    struct.pack_into("<III", data, 54, *masks)
    with pytest.raises(JobError, match="bit fields make no sense") as caught:
        decode(bytes(data), LIMITS)
    assert caught.value.reason is Reason.CORRUPT_IMAGE


@pytest.mark.parametrize(
    ("size", "depth", "compression", "says"),
    [
        (40, 24, 4, "compressed by method 4"),  # JPEG within BMP
        (40, 24, 5, "compressed by method 5"),  # PNG within BMP
        (64, 1, 3, "compressed by method 3"),  # fax, in OS/2
        (64, 24, 4, "compressed by method 4"),  # run lengths of 24 bits, in OS/2
        (40, 2, 0, "of 2 bits per pixel"),
        (124, 64, 0, "of 64 bits per pixel"),
    ],
)
def test_rare_kinds_are_named(size: int, depth: int, compression: int, says: str) -> None:
    data = bytearray(bmp(size, 32, UNCOMPRESSED, M888))
    struct.pack_into("<HI", data, 28, depth, compression)
    with pytest.raises(JobError, match=f"the BMP file is {says}, which is not decoded") as caught:
        decode(bytes(data), LIMITS)
    assert caught.value.reason is Reason.NOT_AN_IMAGE


@pytest.mark.parametrize(("width", "height"), [(-8, 8), (0, 1 << 30), (1 << 30, 0)])
def test_a_size_without_pixels_is_damage(width: int, height: int) -> None:
    """The number of pixels is below every limit."""
    data = bytearray(bmp(40, 16, FIELDS, M565))
    struct.pack_into("<ii", data, 18, width, height)
    with pytest.raises(JobError, match=f"{width}x{height} pixels"):
        inspect(bytes(data), LIMITS)


@pytest.mark.parametrize("size", [16, 36, 40, 64])
def test_pixels_beyond_the_end_are_damage(size: int) -> None:
    data = bytearray(bmp(size, 32, UNCOMPRESSED, M888))
    struct.pack_into("<I", data, 10, 0xFFFFFFFF)
    with pytest.raises(JobError, match="its pixels begin beyond its end") as caught:
        decode(bytes(data), LIMITS)
    assert caught.value.reason is Reason.CORRUPT_IMAGE
