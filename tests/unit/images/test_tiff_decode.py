"""TIFF files are decoded to what they hold, or refused; never to something else."""

from __future__ import annotations

import base64
import io
import struct
import tracemalloc
import zlib
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from tests.support.make import Pixels, encode, noise, pillow_bgr
from tests.support.make_tiff import (
    ALPHA,
    BLACK,
    GREY,
    HEIGHT,
    PICTURE,
    RGB,
    RGB16,
    RGBA,
    WIDTH,
    damages,
    entry,
    kinds,
    planes,
    segments,
    simple,
    with_tag,
    write,
)
from worker.errors import JobError, Reason
from worker.images.decode import decode, read_header
from worker.images.tiff import page_offsets, with_first_page
from worker.images.tiff_cost import LZMA_MEMORY
from worker.settings import DecodeSettings

LIMITS = DecodeSettings()
KINDS = kinds()
BGR = RGB[:, :, ::-1]


def refusal(data: bytes, limits: DecodeSettings = LIMITS) -> JobError:
    with pytest.raises(JobError) as caught:
        decode(data, limits)
    return caught.value


def outcome(data: bytes) -> Pixels | None:
    """The pixels, or None when the file is refused."""
    try:
        return decode(data, LIMITS)
    except JobError:
        return None


def libtiff(data: bytes) -> Pixels | None:
    """What Pillow makes of `data`, or None when libtiff returns an error to it."""
    try:
        return pillow_bgr(data)
    except OSError:
        return None


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_has_the_pixels_of_an_independent_decoder(name: str) -> None:
    assert np.array_equal(decode(KINDS[name], LIMITS), pillow_bgr(KINDS[name]))


def test_big_tiff_in_the_other_byte_order() -> None:
    data = write(RGB16, photometric="rgb", bigtiff=True, byteorder=">", compression="zlib")
    assert np.array_equal(decode(data, LIMITS), BGR)


# Damage that an independent decoder notices, or that a checksum is there to notice.


def test_the_smallest_damaged_file() -> None:
    data = base64.b64decode(
        "SUkqAAgAAAAKAAABAwABAAAAEAAAAAEBAwABAAAAEAAAAAIBAwADAAAAhgAAAAMBAwABAAAACAAAAAYBAwABAAAAAgAA"
        "ABEBBAABAAAAjgAAABUBAwABAAAAAwAAABYBAwABAAAAEAAAABcBBAABAAAAEQAAABwBAwABAAAAAQAAAAAAAAAIAAgA"
        "CAAAAHicO5Eicv//////////////"
    )
    error = refusal(data)
    assert error.reason is Reason.CORRUPT_IMAGE
    assert error.reason.status == 422
    assert "strip or tile 0" in error.message


@pytest.mark.parametrize("name", [name for name in KINDS if name.startswith(("zlib", "lzma"))])
def test_what_has_a_checksum_shows_all_damage(name: str) -> None:
    whole = decode(KINDS[name], LIMITS)
    for damaged in damages(KINDS[name], 40, seed=1):
        pixels = outcome(damaged)
        assert pixels is None or np.array_equal(pixels, whole)


@pytest.mark.parametrize("name", KINDS)
def test_damage_that_libtiff_notices_is_noticed_too(name: str) -> None:
    for damaged in damages(KINDS[name], 40, seed=2):
        pixels = outcome(damaged)
        assert pixels is None or libtiff(damaged) is not None


@pytest.mark.parametrize("name", [name for name in KINDS if name.startswith(("zlib", "lzma"))])
def test_a_strip_or_tile_whose_rest_is_lost_is_refused(name: str) -> None:
    data = KINDS[name]
    whole = decode(data, LIMITS)
    for start, end in segments(data):
        for at in range(start, end, max(1, (end - start) // 7)):
            for rest in (bytes(end - at), b"\xff" * (end - at)):
                pixels = outcome(data[:at] + rest + data[end:])
                assert pixels is None or np.array_equal(pixels, whole)


@pytest.mark.parametrize("name", [name for name in KINDS if name.startswith("jpeg")])
def test_a_jpeg_inside_that_ends_early_is_refused(name: str) -> None:
    data = KINDS[name]
    whole = decode(data, LIMITS)
    start, end = segments(data)[-1]
    for at in range(start, end - 2, max(1, (end - start) // 20)):
        for rest in (bytes(end - at), b"\xff\xd9" + bytes(end - at - 2)):
            pixels = outcome(data[:at] + rest + data[end:])
            assert pixels is None or np.array_equal(pixels, whole)


@pytest.mark.parametrize("name", ["group3", "group4", "tiff_ccitt"])
def test_damage_in_a_fax_image_is_noticed_unless_it_is_another_image(name: str) -> None:
    """No fax decoder but ours reports errors; where ours finds none, libtiff has the same image."""
    refused = 0
    for damaged in damages(KINDS[name], 200, seed=3):
        pixels = outcome(damaged)
        refused += pixels is None
        assert pixels is None or np.array_equal(pixels, pillow_bgr(damaged))
    assert refused > 180


def test_a_strip_that_decodes_to_too_much_or_too_little_is_refused() -> None:
    grey = noise(16, 16)[:, :, 0].tobytes()
    for encoder, compression in (
        (zlib.compress, 8),
        (imagecodecs.lzw_encode, 5),
        (imagecodecs.packbits_encode, 32773),
        (imagecodecs.zstd_encode, 50000),
        (imagecodecs.lzma_encode, 34925),
    ):
        tag = (259, compression)
        whole = simple(bytes(encoder(grey)), 16, 16, tag)
        assert np.array_equal(decode(whole, LIMITS)[:, :, 0].tobytes(), grey)
        for other in (grey[:-1], grey + b"x", grey * 2, b""):
            damaged = simple(bytes(encoder(other)) or b"\0", 16, 16, tag)
            assert refusal(damaged).reason is Reason.CORRUPT_IMAGE, (compression, len(other))


# Whole files of rarer kinds.


@pytest.mark.parametrize("tile", [(16, 16), (16, 48), (48, 16), (32, 80), (112, 128)])
@pytest.mark.parametrize("compression", [None, "lzw"])
def test_tiles_of_any_size(tile: tuple[int, int], compression: str | None) -> None:
    for pixels, expected in ((RGB, BGR), (RGB16, BGR)):
        data = write(pixels, photometric="rgb", tile=tile, compression=compression)
        assert np.array_equal(decode(data, LIMITS), expected)


def test_a_single_small_tile() -> None:
    pixels = noise(16, 16)
    data = write(pixels, photometric="rgb", tile=(16, 16))
    assert np.array_equal(decode(data, LIMITS), pixels[:, :, ::-1])


@pytest.mark.parametrize("separate", [False, True])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("extra", ["unassalpha", "unspecified"])
def test_what_follows_the_colours_is_dropped(separate: bool, bits: int, extra: str) -> None:
    pixels = RGBA if bits == 8 else RGBA.astype(np.uint16) * 257
    data = write(
        planes(pixels) if separate else pixels,
        photometric="rgb",
        planarconfig="separate" if separate else "contig",
        extrasamples=[extra],
    )
    assert np.array_equal(decode(data, LIMITS), BGR)


def test_five_bands_whose_first_are_red_green_and_blue() -> None:
    data = write(
        np.dstack([RGB, GREY, GREY]),
        photometric="rgb",
        planarconfig="contig",
        extrasamples=["unspecified", "unspecified"],
    )
    assert np.array_equal(decode(data, LIMITS), BGR)


@pytest.mark.parametrize("separate", [False, True])
def test_colours_multiplied_by_alpha_are_what_they_were_before(separate: bool) -> None:
    faded = np.dstack([(RGB.astype(int) * ALPHA[:, :, None] // 255).astype(np.uint8), ALPHA])
    contiguous = write(faded, photometric="rgb", extrasamples=["assocalpha"])
    data = contiguous
    if separate:
        data = write(
            planes(faded), photometric="rgb", planarconfig="separate", extrasamples=["assocalpha"]
        )
    pixels = decode(data, LIMITS)
    assert np.array_equal(pixels, pillow_bgr(contiguous))
    opaque = ALPHA > 240
    assert np.abs(pixels[opaque].astype(int) - BGR[opaque]).max() <= 2
    assert not pixels[ALPHA == 0].any()


def test_cmyk_is_what_pillow_makes_of_it() -> None:
    inks = np.random.default_rng(5).integers(0, 256, (64, 64, 4), np.uint8)
    expected = pillow_bgr(encode(Image.fromarray(inks, "CMYK"), "TIFF"))
    for pixels in (inks, inks.astype(np.uint16) * 257):
        data = write(pixels, photometric="separated", compression="lzw")
        assert np.array_equal(decode(data, LIMITS), expected)


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 6, 8])
@pytest.mark.parametrize("inverted", [False, True])
def test_few_bits_span_black_to_white(bits: int, inverted: bool) -> None:
    levels = np.tile(np.arange(1 << bits, dtype=np.uint8), (3, 1))
    strip = bytes(imagecodecs.packints_encode(levels, bits)) if bits < 8 else levels.tobytes()
    width = levels.shape[1]
    if bits < 8:
        rows = [np.unpackbits(row[:, None], axis=1)[:, 8 - bits :].reshape(-1) for row in levels]
        strip = b"".join(np.packbits(row).tobytes() for row in rows)
    data = simple(strip, width, 3, (258, bits), (262, 0 if inverted else 1))
    expected = np.round(np.linspace(0, 255, width)).astype(np.uint8)
    assert np.array_equal(decode(data, LIMITS)[1, :, 0], expected[::-1] if inverted else expected)


@pytest.mark.parametrize("bits", [9, 10, 12, 14])
def test_more_bits_lose_their_lowest(bits: int) -> None:
    numbers = np.random.default_rng(1).integers(0, 1 << bits, (5, 16), np.uint16)
    bit_rows = (numbers[:, :, None] >> np.arange(bits - 1, -1, -1)) & 1
    strip = np.packbits(bit_rows.reshape(5, -1).astype(np.uint8), axis=1).tobytes()
    data = simple(strip, 16, 5, (258, bits))
    assert np.array_equal(decode(data, LIMITS)[:, :, 0], numbers >> (bits - 8))


@pytest.mark.parametrize("order", ["<", ">"])
def test_16_bit_greys_where_0_is_white_are_inverted(order: Any) -> None:
    """As TIFF says and as 8 bits are; Pillow up to 13.0 leaves those of 16 bits as they are."""
    numbers = np.arange(0, 65536, 16, dtype=np.uint16).reshape(64, 64)
    data = write(numbers, photometric="miniswhite", byteorder=order)
    assert np.array_equal(decode(data, LIMITS)[:, :, 0], 255 - (numbers >> 8))


def test_a_palette_of_8_bits_in_fields_of_16() -> None:
    data = encode(PICTURE.quantize(16), "TIFF")
    expected = pillow_bgr(data)
    at = entry(data, 320)
    count, place = struct.unpack_from("<II", data, at + 4)
    numbers = struct.unpack_from(f"<{count}H", data, place)
    short = struct.pack(f"<{count}H", *(number >> 8 for number in numbers))
    changed = data[:place] + short + data[place + len(short) :]
    assert np.array_equal(decode(changed, LIMITS), expected)


@pytest.mark.parametrize("shared", [(1, 1), (2, 1), (2, 2), (4, 2)])
def test_uncompressed_ycbcr(shared: tuple[int, int]) -> None:
    across, down = shared
    ycbcr = np.asarray(PICTURE.convert("YCbCr"))[:, :, :]
    blocks = ycbcr.reshape(HEIGHT // down, down, WIDTH // across, across, 3)
    light = blocks[..., 0].transpose(0, 2, 1, 3).reshape(HEIGHT // down, WIDTH // across, -1)
    colour = blocks[:, 0, :, 0, 1:]
    strip = np.concatenate([light, colour], axis=2).tobytes()
    packed = struct.unpack("<I", struct.pack("<HH", across, down))[0]
    tags = [(262, 6), (277, 3), (530, packed)]
    data = bytearray(simple(strip, WIDTH, HEIGHT, *tags))
    struct.pack_into("<HI", data, entry(bytes(data), 530) + 2, 3, 2)
    flat = ycbcr.copy()
    for channel in (1, 2):
        flat[:, :, channel] = colour[:, :, channel - 1].repeat(down, axis=0).repeat(across, axis=1)
    expected = np.asarray(Image.fromarray(flat, "YCbCr").convert("RGB"))[:, :, ::-1]
    difference = decode(bytes(data), LIMITS).astype(int) - expected
    assert np.abs(difference).max() <= 1


@pytest.mark.parametrize("options", [0, 1, 4, 5])
def test_group_3_in_one_and_two_dimensions(options: int) -> None:
    data = encode(
        Image.fromarray(BLACK), "TIFF", compression="group3", tiffinfo={292: options, 278: 20}
    )
    assert np.array_equal(decode(data, LIMITS), pillow_bgr(data))


def test_bits_in_reverse_order() -> None:
    for name in ("group4", "group3", "tiff_ccitt"):
        data = encode(Image.fromarray(BLACK), "TIFF", compression=name, tiffinfo={266: 2})
        assert np.array_equal(decode(data, LIMITS), pillow_bgr(data))


def test_a_pad_byte_that_is_counted() -> None:
    grey = bytes(range(256))
    strip = bytes(imagecodecs.packbits_encode(grey))
    assert decode(simple(strip + b"\0", 16, 16, (259, 32773)), LIMITS)[0, 9, 0] == 9


def test_sizes_may_be_left_out_where_nothing_is_compressed() -> None:
    data = bytearray(simple(bytes(range(256)), 16, 16))
    struct.pack_into("<H", data, entry(bytes(data), 279), 280)
    assert decode(bytes(data), LIMITS)[15, 15, 0] == 255


# Kinds that are not decoded.


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (6, "old-style JPEG"),
        (22610, "JPEG XR"),
        (32909, "PixarLog"),
        (33003, "JPEG 2000"),
        (33005, "JPEG 2000"),
        (34661, "JBIG"),
        (34712, "JPEG 2000"),
        (34887, "LERC"),
        (50002, "JPEG XL"),
        (65535, "Pentax PEF"),
        (12345, "unknown"),
    ],
)
def test_a_compression_that_is_not_decoded_is_named(number: int, name: str) -> None:
    error = refusal(with_tag(KINDS["zlib strips"], 259, number))
    assert error.reason is Reason.NOT_AN_IMAGE
    assert error.reason.status == 415
    assert f"compression {number} ({name}" in error.message
    assert "save it with 8 or 16 bits" in error.message


UNSUPPORTED: dict[str, tuple[npt.NDArray[Any], dict[str, Any], str]] = {
    "half": (GREY.astype(np.float16), {}, "16-bit floating-point numbers"),
    "float": (GREY.astype(np.float32), {}, "32-bit floating-point numbers"),
    "float predictor": (
        GREY.astype(np.float32),
        {"compression": "zlib", "predictor": 3},
        "32-bit floating-point numbers",
    ),
    "double": (GREY.astype(np.float64), {}, "64-bit floating-point numbers"),
    "complex": (GREY.astype(np.complex64), {}, "64-bit complex"),
    "uint32": (GREY.astype(np.uint32), {}, "32-bit integers"),
    "int16": (GREY.astype(np.int16), {}, "16-bit signed integers"),
    "int32": (GREY.astype(np.int32), {}, "32-bit signed integers"),
    "bands": (
        np.dstack([GREY] * 5),
        {"photometric": "minisblack", "planarconfig": "contig"},
        "5 samples per pixel",
    ),
    "volume": (
        np.stack([GREY] * 16),
        {"photometric": "minisblack", "volumetric": True, "tile": (16, 16, 16)},
        "a volume",
    ),
    "raw": (RGB16, {"photometric": "linear_raw"}, "linear raw data"),
}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_pixels_that_are_not_decoded_are_named(name: str) -> None:
    pixels, options, what = UNSUPPORTED[name]
    error = refusal(write(pixels, **{"photometric": "minisblack", **options}))
    assert error.reason is Reason.NOT_AN_IMAGE
    assert what in error.message


def test_jpeg_of_12_bits_and_lossless_jpeg_are_named() -> None:
    twelve = with_tag(KINDS["jpeg grey"], 258, 12)
    assert "12-bit pixels compressed with JPEG" in refusal(twelve).message
    data = KINDS["jpeg grey"]
    frame = data.index(b"\xff\xc0", segments(data)[0][0])
    error = refusal(data[:frame] + b"\xff\xc3" + data[frame + 2 :])
    assert error.reason is Reason.NOT_AN_IMAGE
    assert "lossless" in error.message


# What a file makes the decoder do.


def test_a_tile_far_larger_than_the_image_is_refused() -> None:
    huge = imagecodecs.deflate_encode(bytes(16000 * 16000))
    data = simple(bytes(huge), 16, 16, (259, 8), (322, 16000), (323, 16000))
    tracemalloc.start()
    try:
        error = refusal(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert error.reason is Reason.TOO_MANY_PIXELS
    assert "its tiles make 256000000" in error.message
    assert peak < 2**21


def test_a_later_page_with_such_a_tile_is_refused_when_its_turn_comes() -> None:
    first = simple(bytes(256), 16, 16)
    second = simple(b"\0", 16, 16, (322, 16000), (323, 16000))
    shifted = len(first)
    directory = shifted + struct.unpack_from("<I", second, 4)[0]
    data = first[:-4] + struct.pack("<I", directory) + second
    offsets = page_offsets(data)
    assert offsets[1] == directory
    assert decode(with_first_page(data, offsets[0]), LIMITS).shape == (16, 16, 3)
    error = refusal(with_first_page(data, offsets[1]))
    assert error.reason is Reason.TOO_MANY_PIXELS


def test_tiles_may_reach_beyond_an_image_of_just_the_accepted_size() -> None:
    limits = DecodeSettings(max_pixels=WIDTH * HEIGHT)
    data = write(RGB, photometric="rgb", tile=(32, 32))
    assert decode(data, limits).shape == RGB.shape
    assert refusal(write(RGB, photometric="rgb", tile=(256, 256)), limits).reason is (
        Reason.TOO_MANY_PIXELS
    )


def test_many_wide_samples_are_refused_by_the_bytes_that_they_take() -> None:
    limits = DecodeSettings(max_pixels=9_000_000)
    data = simple(b"\0", 3000, 3000, (258, 16), (262, 2), (277, 16))
    error = refusal(data, limits)
    assert error.reason is Reason.TOO_MANY_PIXELS
    assert "decoding the image takes" in error.message


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "lzw"},
        {"compression": "zlib", "predictor": 2, "rowsperstrip": 700},
        {"compression": "lzma", "rowsperstrip": 700},
        {"compression": "packbits", "tile": (512, 512)},
        {"compression": "zlib", "planarconfig": "separate", "rowsperstrip": 700},
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("orientation", [1, 6])
def test_decoding_holds_no_more_than_the_header_says(
    options: dict[str, Any], kind: type[np.unsignedinteger[Any]], orientation: int
) -> None:
    pixels = noise(900, 700).astype(kind)
    if options.get("planarconfig") == "separate":
        pixels = planes(pixels)
    turned = [(274, "H", 1, orientation, True)]
    data = write(pixels, photometric="rgb", extratags=turned, **options)
    header = read_header(data)
    assert header.orientation == orientation
    decode(data, LIMITS)
    tracemalloc.start()
    try:
        decode(data, LIMITS)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    encoded = len(data)  # a strip's bytes are copied out of the file
    assert peak <= header.decoded_bytes + encoded + 100_000
    dictionary = LZMA_MEMORY if options.get("compression") == "lzma" else 0
    assert header.decoded_bytes - dictionary <= 2 * peak + 4_000_000


def test_a_fax_image_holds_no_more_than_the_header_says() -> None:
    black = noise(2000, 1500)[:, :, 0] > 128
    data = encode(Image.fromarray(black), "TIFF", compression="group4", tiffinfo={278: 1500})
    tracemalloc.start()
    try:
        decode(data, LIMITS)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak <= read_header(data).decoded_bytes + len(data)


def test_strips_that_share_their_bytes_are_bounded() -> None:
    strip = bytes(imagecodecs.deflate_encode(bytes(16))) + bytes(100_000)
    rows = 64
    data = bytearray(simple(strip, 16, rows, (259, 8), (278, 1)))
    offsets, sizes = (len(data), len(data) + 4 * rows)
    for tag, place in ((273, offsets), (279, sizes)):
        struct.pack_into("<II", data, entry(bytes(data), tag) + 4, rows, place)
    data += struct.pack(f"<{rows}I", *[8] * rows) + struct.pack(f"<{rows}I", *[len(strip)] * rows)
    error = refusal(bytes(data))
    assert error.reason is Reason.CORRUPT_IMAGE
    assert "overlap" in error.message


def test_blank_strips_may_share_their_bytes() -> None:
    strip = bytes(imagecodecs.deflate_encode(bytes(16)))
    rows = 64
    data = bytearray(simple(strip, 16, rows, (259, 8), (278, 1)))
    offsets, sizes = (len(data), len(data) + 4 * rows)
    for tag, place in ((273, offsets), (279, sizes)):
        struct.pack_into("<II", data, entry(bytes(data), tag) + 4, rows, place)
    data += struct.pack(f"<{rows}I", *[8] * rows) + struct.pack(f"<{rows}I", *[len(strip)] * rows)
    assert not decode(bytes(data), LIMITS).any()


def test_a_bomb_of_tiny_tiles_is_refused() -> None:
    data = simple(b"\0", 4000, 4000, (322, 1), (323, 1))
    error = refusal(data)
    assert error.reason is Reason.CORRUPT_IMAGE
    assert "16000000 strips or tiles" in error.message


def test_a_jpeg_inside_that_announces_another_size_is_refused() -> None:
    data = KINDS["jpeg grey"]
    start = segments(data)[0][0]
    frame = data.index(b"\xff\xc0", start)
    changed = data[: frame + 5] + struct.pack(">HH", 30_000, 30_000) + data[frame + 9 :]
    error = refusal(changed)
    assert error.reason is Reason.CORRUPT_IMAGE
    assert "30000x30000" in error.message


def test_samples_that_are_missing_are_damage() -> None:
    assert "2 of 3 samples" in refusal(simple(bytes(512), 16, 16, (262, 2), (277, 2))).message


def test_damage_shows_nothing_of_earlier_images() -> None:
    """A decoder that is given less than it needs must not leave an earlier image in its place."""
    decode(KINDS["lzw strips"], LIMITS)
    for damaged in damages(KINDS["packbits strips"], 40, seed=4):
        pixels = outcome(damaged)
        again = outcome(damaged)
        if pixels is None or again is None:
            assert pixels is again
        else:
            assert np.array_equal(pixels, again)


def test_a_later_page_is_decoded_like_the_first() -> None:
    buffer = io.BytesIO()
    PICTURE.save(buffer, "TIFF", save_all=True, append_images=[PICTURE.rotate(180)])
    data = buffer.getvalue()
    second = decode(with_first_page(data, page_offsets(data)[1]), LIMITS)
    assert np.array_equal(second, BGR[::-1, ::-1])
