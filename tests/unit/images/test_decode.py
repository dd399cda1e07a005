from __future__ import annotations

import base64
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.support.make import (
    bmp_run_length,
    encode,
    encode_cv2,
    noise,
    oriented,
    pillow_bgr,
    png_chunk,
    png_header,
    png_interlaced,
)
from worker.errors import JobError, Reason
from worker.images.decode import decode
from worker.images.jpeg import MAX_SCANS
from worker.settings import DecodeSettings

RGB = noise(120, 80)
PICTURE = Image.fromarray(RGB)
GREY = PICTURE.convert("L")
HALF_CLEAR = PICTURE.copy()
HALF_CLEAR.putalpha(Image.fromarray(np.tile(np.repeat(np.array([0, 255], np.uint8), 60), (80, 1))))
FRAMES = [Image.fromarray(noise(120, 80, seed)) for seed in (1, 2)]
SIXTEEN = cv2.cvtColor(RGB, cv2.COLOR_RGB2BGR).astype(np.uint16) * 257

EXACT = {
    "BMP": encode(PICTURE, "BMP"),
    "BMP grey": encode(GREY, "BMP"),
    "BMP 1 bit": encode(GREY.convert("1"), "BMP"),
    "BMP palette": encode(PICTURE.quantize(32), "BMP"),
    "BMP run-length encoded": bmp_run_length(np.asarray(GREY)),
    "BMP 32 bit": encode(HALF_CLEAR, "BMP"),
    "GIF": encode(PICTURE.quantize(32), "GIF"),
    "GIF interlaced": encode(PICTURE.quantize(32), "GIF", interlace=1),
    "GIF animated": encode(PICTURE, "GIF", save_all=True, append_images=FRAMES),
    "PNG": encode(PICTURE, "PNG"),
    "PNG grey": encode(GREY, "PNG"),
    "PNG grey and alpha": encode(HALF_CLEAR.convert("LA"), "PNG"),
    "PNG alpha": encode(HALF_CLEAR, "PNG"),
    "PNG palette": encode(PICTURE.quantize(32), "PNG"),
    "PNG palette of 4 bit": encode(PICTURE.quantize(12), "PNG", bits=4),
    "PNG palette with transparency": encode(PICTURE.quantize(32), "PNG", transparency=3),
    "PNG interlaced": png_interlaced(RGB),
    "PNG 1 bit": encode(GREY.convert("1"), "PNG"),
    "PNG 16 bit": encode_cv2(SIXTEEN, ".png"),
    "PNG 16 bit grey": encode_cv2(SIXTEEN[:, :, 0], ".png"),
    "PNG animated": encode(PICTURE, "PNG", save_all=True, append_images=FRAMES),
    "WebP": encode(PICTURE, "WEBP", quality=80),
    "WebP alpha": encode(HALF_CLEAR, "WEBP", quality=80),
    "WebP lossless": encode(PICTURE, "WEBP", lossless=True),
    "WebP lossless alpha": encode(HALF_CLEAR, "WEBP", lossless=True, exact=True),
    "WebP animated": encode(PICTURE, "WEBP", save_all=True, append_images=FRAMES),
    "TIFF": encode(PICTURE, "TIFF"),
    "TIFF grey": encode(GREY, "TIFF"),
    "TIFF 1 bit": encode(GREY.convert("1"), "TIFF", compression="group4"),
    "TIFF palette": encode(PICTURE.quantize(32), "TIFF"),
    "TIFF CMYK": encode(PICTURE.convert("CMYK"), "TIFF"),
    "TIFF LZW": encode(PICTURE, "TIFF", compression="tiff_lzw"),
    "TIFF deflate": encode(PICTURE, "TIFF", compression="tiff_adobe_deflate"),
    "TIFF JPEG": encode(PICTURE, "TIFF", compression="jpeg"),
    "TIFF big": encode(PICTURE, "TIFF", big_tiff=True),
    "TIFF of pages": encode(PICTURE, "TIFF", save_all=True, append_images=FRAMES),
    "JPEG": encode(PICTURE, "JPEG"),
    "JPEG grey": encode(GREY, "JPEG"),
    "JPEG progressive": encode(PICTURE, "JPEG", progressive=True),
    "JPEG 4:4:4": encode(PICTURE, "JPEG", subsampling="4:4:4"),
    "JPEG 4:2:2": encode(PICTURE, "JPEG", subsampling="4:2:2"),
    "JPEG RGB": encode(PICTURE, "JPEG", keep_rgb=True),
    "JPEG 4:1:1": encode_cv2(
        RGB, ".jpg", cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_411
    ),
    "JPEG with restarts": encode_cv2(RGB, ".jpg", cv2.IMWRITE_JPEG_RST_INTERVAL, 4),
    "JPEG with a long comment": encode(PICTURE, "JPEG", comment=b"\xff\xda\xff\xd9" * 10_000),
}
"""Files whose pixels are the same by every decoder."""


def refusal(data: bytes, limits: DecodeSettings) -> JobError:
    with pytest.raises(JobError) as caught:
        decode(data, limits)
    return caught.value


def was_refused(data: bytes, limits: DecodeSettings) -> bool:
    try:
        decode(data, limits)
    except JobError:
        return True
    return False


@pytest.mark.parametrize("name", EXACT)
def test_every_odd_format_decodes_to_the_pixels_of_an_independent_decoder(
    name: str, limits: DecodeSettings
) -> None:
    pixels = decode(EXACT[name], limits)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    assert np.array_equal(pixels, pillow_bgr(EXACT[name]))


@pytest.mark.parametrize(
    "name",
    [
        "astronaut.jpg",
        "china.jpg",
        "chelsea.png",
        "progressive.jpg",
        "exif6.jpg",
        "gray.jpg",
        "gray8.png",
        "gray16.png",
        "gray_alpha.png",
        "palette.png",
        "palette.gif",
        "animated.gif",
        "lossy.webp",
        "strip_2000x20.jpg",
        "one_by_one.jpg",
        "one_by_one.png",
    ],
)
def test_photographs_decode_to_the_pixels_of_an_independent_decoder(
    photograph: Callable[[str], bytes], name: str, limits: DecodeSettings
) -> None:
    data = photograph(name)
    assert np.array_equal(decode(data, limits), pillow_bgr(data))


def test_cmyk_is_within_one_level(
    photograph: Callable[[str], bytes], limits: DecodeSettings
) -> None:
    data = photograph("cmyk.jpg")
    difference = decode(data, limits).astype(int) - pillow_bgr(data)
    assert np.abs(difference).max() <= 1


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_exif_orientation_is_applied(
    kind: str, orientation: int, limits: DecodeSettings
) -> None:
    data = oriented(PICTURE, kind, orientation)
    pixels = decode(data, limits)
    assert pixels.shape == ((80, 120, 3) if orientation < 5 else (120, 80, 3))
    assert np.array_equal(pixels, pillow_bgr(data))


@pytest.mark.parametrize("orientation", [0, 9, 255])
def test_an_impossible_orientation_is_ignored(orientation: int, limits: DecodeSettings) -> None:
    assert decode(oriented(PICTURE, "JPEG", orientation), limits).shape == (80, 120, 3)


def test_broken_metadata_is_ignored(limits: DecodeSettings) -> None:
    for exif in (b"", b"II", b"II*\0\xff\xff\xff\xff", b"II+\0\x08\0\0\0" + b"\xff" * 8, b"??"):
        segment = b"Exif\0\0" + exif
        start, rest = EXACT["JPEG"][:2], EXACT["JPEG"][2:]
        marker = b"\xff\xe1" + struct.pack(">H", len(segment) + 2)
        pixels = decode(start + marker + segment + rest, limits)
        assert np.array_equal(pixels, pillow_bgr(EXACT["JPEG"]))


@pytest.mark.parametrize("name", EXACT)
def test_whatever_follows_the_image_is_ignored(name: str, limits: DecodeSettings) -> None:
    expected = decode(EXACT[name], limits)
    trailing = b"\0trailing\xff\xd8\xff\xd9" * 20
    assert np.array_equal(decode(EXACT[name] + trailing, limits), expected)


def cuts(data: bytes) -> list[int]:
    """Lengths to cut a file to: each near the ends, and some between."""
    size = len(data)
    lengths = {*range(24), *range(24, size, max(1, size // 40)), *range(size - 16, size)}
    return sorted(length for length in lengths if 0 <= length < size)


@pytest.mark.parametrize("name", EXACT)
def test_a_truncated_file_is_refused_wherever_it_ends(name: str, limits: DecodeSettings) -> None:
    data = EXACT[name]
    for length in cuts(data):
        if name.startswith("TIFF") and not was_refused(data[:length], limits):
            # What is missing is another page, or the number that says there is none.
            assert np.array_equal(decode(data[:length], limits), decode(data, limits)), length
        elif name.startswith("GIF") and not was_refused(data[:length], limits):
            # The last byte says that there is no more; without it, an animation ends where a frame
            # does.
            assert length == len(data) - 1 or name == "GIF animated"
            assert np.array_equal(decode(data[:length], limits), decode(data, limits)), length
        else:
            error = refusal(data[:length], limits)
            assert error.reason in (Reason.CORRUPT_IMAGE, Reason.NOT_AN_IMAGE), length


@pytest.mark.parametrize("name", ["JPEG", "JPEG progressive", "PNG", "WebP", "BMP", "TIFF", "GIF"])
def test_a_truncated_file_after_a_good_one_shows_none_of_it(
    name: str, limits: DecodeSettings
) -> None:
    good = decode(EXACT[name], limits)
    other = noise(120, 80, seed=7)
    kind = {"JPEG progressive": "JPEG", "WebP": "WEBP"}.get(name, name)
    half = encode(other, kind)[: len(EXACT[name]) // 2]
    for _ in range(20):
        assert refusal(half, limits).reason is Reason.CORRUPT_IMAGE
        assert np.array_equal(decode(EXACT[name], limits), good)


def test_the_truncated_photograph_is_refused(
    photograph: Callable[[str], bytes], limits: DecodeSettings
) -> None:
    error = refusal(photograph("truncated.jpg"), limits)
    assert error.reason is Reason.CORRUPT_IMAGE
    assert "send the whole file" in error.message


@pytest.mark.parametrize("missing", [1, 40, 400])
def test_a_scan_that_ends_early_is_refused_although_the_file_has_an_end(
    photograph: Callable[[str], bytes], missing: int, limits: DecodeSettings
) -> None:
    data = photograph("china.jpg")
    assert data.endswith(b"\xff\xd9")
    error = refusal(data[: -2 - missing] + b"\xff\xd9", limits)
    assert error.reason is Reason.CORRUPT_IMAGE


def test_zeros_instead_of_the_rest_are_refused(limits: DecodeSettings) -> None:
    data = EXACT["JPEG"]
    assert refusal(data[: len(data) // 2] + bytes(len(data)), limits).reason is Reason.CORRUPT_IMAGE


def test_an_animated_png_whose_still_image_is_no_frame(limits: DecodeSettings) -> None:
    """The still image is for viewers without animation; it is what all decoders return first."""
    data = EXACT["PNG animated"]
    first = data.index(b"fcTL") - 4
    second = data.index(b"fcTL", first + 8) - 4
    third = data.index(b"fcTL", second + 8) - 4
    frame = png_chunk(b"fcTL", struct.pack(">5I2H2B", 0, 120, 80, 0, 0, 1, 10, 0, 0))
    pixels = data[data.index(b"fdAT") - 4 : third]
    hidden = data[:first] + data[first + 38 : second] + frame + pixels + png_chunk(b"IEND", b"")
    assert np.array_equal(decode(hidden, limits), decode(data, limits))


def test_the_animation_that_crashes_opencv(
    photograph: Callable[[str], bytes], limits: DecodeSettings
) -> None:
    for _ in range(20):
        with suppress(JobError):
            decode(photograph("broken_animation.png"), limits)


@pytest.mark.parametrize(
    ("kind", "name"),
    # A name that is none would show a part of the file.
    [(b"IDAT", "IDAT"), (b"iTXt", "iTXt"), (b"key=", "of an unknown type")],
)
def test_a_png_chunk_larger_than_the_file_takes_no_memory(
    kind: bytes, name: str, limits: DecodeSettings
) -> None:
    data = EXACT["PNG"]
    at = data.index(b"IDAT") - 4
    claim = data[:at] + struct.pack(">I", 0xF0000000) + kind + data[at:]
    error = refusal(claim, limits)
    assert error.reason is Reason.CORRUPT_IMAGE
    assert f"(its chunk {name} is cut off)" in error.message


def test_a_bomb_of_png_chunks_is_refused(limits: DecodeSettings) -> None:
    data = EXACT["PNG"]
    error = refusal(data[:33] + png_chunk(b"tEXt", b"") * 100_000 + data[33:], limits)
    assert error.reason is Reason.CORRUPT_IMAGE
    assert "more than 65536 chunks" in error.message


@pytest.mark.parametrize("name", ["PNG", "PNG palette"])
def test_a_flipped_bit_in_a_png_is_found(name: str, limits: DecodeSettings) -> None:
    data = bytearray(EXACT[name])
    data[len(data) // 2] ^= 0x10
    assert refusal(bytes(data), limits).reason is Reason.CORRUPT_IMAGE


def test_odd_headers_that_change_no_pixel_are_borne(limits: DecodeSettings) -> None:
    data = oriented(PICTURE, "JPEG", 6)
    expected = decode(data, limits)
    at = data.index(b"JFIF\0") + 5
    futuristic = data[:at] + b"\x03" + data[at + 1 :]
    assert np.array_equal(decode(futuristic, limits), expected)
    for length in (len(data) - 2, len(data) * 3 // 4):
        assert refusal(futuristic[:length], limits).reason is Reason.CORRUPT_IMAGE


def frame(data: bytes, marker: int, precision: int = 8, components: int = 3) -> bytes:
    """A JPEG that says to be of another kind."""
    at = data.index(b"\xff\xc0")
    return b"".join(
        (
            data[:at],
            bytes([0xFF, marker]),
            data[at + 2 : at + 4],
            bytes([precision]),
            data[at + 5 : at + 9],
            bytes([components]),
            data[at + 10 :],
        )
    )


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (frame(EXACT["JPEG"], 0xC1, precision=12), "JPEG file is of 12 bits per sample"),
        (frame(EXACT["JPEG"], 0xC3, precision=16), "JPEG file is of 16 bits per sample"),
        (frame(EXACT["JPEG"], 0xC3), "JPEG file is lossless with colours other than RGB"),
        (frame(EXACT["JPEG"], 0xC5), "JPEG file is hierarchical"),
        (frame(EXACT["JPEG"], 0xCB), "JPEG file is lossless with arithmetic coding"),
        (frame(EXACT["JPEG"], 0xF7), "JPEG file is JPEG-LS"),
        (frame(EXACT["JPEG"], 0xC0, components=2), "JPEG file is of 2 components"),
        (
            b"\x89PNG\r\n\x1a\n" + png_chunk(b"CgBI", bytes(4)) + EXACT["PNG"][8:],
            "PNG file is made for iPhones only (CgBI)",
        ),
    ],
)
def test_rare_kinds_are_named_and_not_called_damaged(
    data: bytes, says: str, limits: DecodeSettings
) -> None:
    error = refusal(data, limits)
    assert error.reason is Reason.NOT_AN_IMAGE
    assert error.as_failure().status == 415
    assert f"the {says}, which is not decoded here" in error.message


# A ramp of 16x16 pixels without loss: grey, and RGB, written by libjpeg-turbo.
LOSSLESS = {
    "grey": (
        "/9j/4AAQSkZJRgABAQAAAQABAAD/wwALCAAQABABAREA/8QAFQABAQAAAAAAAAAAAAAAAAAABAj/2gAIAQEAAQAA"
        "n9CEIQhCEIQhCEIQhCEIQhCEIQhCEIQhCEIQhCEIQhCEIQhCEIQhCEIQhCEIQhCEIQhCEIQhCEIQhCEIQhCEIQhC"
        "EIQhCEIQhCEIQhCEIQhCEIQhCEIQhCEIQhCEIQhCEIQhCEIQhCEIQhCEIQhCEIQhCEIQhCEIQhCEIQhCEIQhCEIQ"
        "hCEIQhCEIQhCEIQhCEIQhCEIQhCEIQhCEIQhCEf/2Q=="
    ),
    "RGB": (
        "/9j/7gAOQWRvYmUAZAAAAAAA/8MAEQgAEAAQA1IRAEcRAEIRAP/EABUAAQEAAAAAAAAAAAAAAAAAAAQI/9oADANS"
        "AEcAQgABAACfznQg6EHQg6EHQg6EHQg6EHQg6EHQg6EHQg6EHQg6DoQg6EHQg6EHQg6EHQg6EHQg6EHQg6EHQg6E"
        "HQg6DoQg6EHQg6EHQg6EHQg6EHQg6EHQg6EHQg6EHQg6DoQg6EHQg6EHQg6EHQg6EHQg6EHQg6EHQg6EHQg6DoQg"
        "6EHQg6EHQg6EHQg6EHQg6EHQg6EHQg6EHQg6DoQg6EHQg6EHQg6EHQg6EHQg6EHQg6EHQg6EHQg6DoQg6EHQg6EH"
        "Qg6EHQg6EHQg6EHQg6EHQg6EHQg6DoQg6EHQg6EHQg6EHQg6EHQg6EHQg6EHQg6EHQg6DoQg6EHQg6EHQg6EHQg6"
        "EHQg6EHQg6EHQg6EHQg6DoQg6EHQg6EHQg6EHQg6EHQg6EHQg6EHQg6EHQg6DoQg6EHQg6EHQg6EHQg6EHQg6EHQ"
        "g6EHQg6EHQg6DoQg6EHQg6EHQg6EHQg6EHQg6EHQg6EHQg6EHQg6DoQg6EHQg6EHQg6EHQg6EHQg6EHQg6EHQg6E"
        "HQg6DoQg6EHQg6EHQg6EHQg6EHQg6EHQg6EHQg6EHQg6DoQg6EHQg6EHQg6EHQg6EHQg6EHQg6EHQg6EHQg6DoQg"
        "6EHQg6EHQg6EHQg6EHQg6EHQg6EHQg6EHQg//9k="
    ),
}


@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_jpeg_of_8_bits_is_decoded(name: str, limits: DecodeSettings) -> None:
    data = base64.b64decode(LOSSLESS[name])
    assert np.array_equal(decode(data, limits), pillow_bgr(data))


def test_floating_point_tiff_is_refused_with_advice(limits: DecodeSettings) -> None:
    error = refusal(encode(GREY.convert("F"), "TIFF"), limits)
    assert error.reason is Reason.NOT_AN_IMAGE
    assert "32-bit floating-point numbers" in error.message
    assert "or as JPEG or PNG" in error.message


def test_the_size_in_bytes_is_limited() -> None:
    data = EXACT["PNG"]
    decode(data, DecodeSettings(max_bytes=len(data)))
    error = refusal(data, DecodeSettings(max_bytes=len(data) - 1))
    assert error.reason is Reason.TOO_LARGE
    assert str(len(data)) in error.message


BOMBS: dict[str, Callable[[int, int], bytes]] = {
    "PNG": png_header,
    "GIF": lambda width, height: b"GIF89a" + struct.pack("<HHBBB", width, height, 0, 0, 0),
    "BMP": lambda width, height: (
        b"BM" + bytes(12) + struct.pack("<IiiHHI", 40, width, -height, 1, 24, 0) + bytes(20)
    ),
    "BMP core": lambda width, height: (
        b"BM" + bytes(12) + struct.pack("<IHHHH", 12, width, height, 1, 24)
    ),
    "WebP lossy": lambda width, height: (
        b"RIFF\0\0\0\0WEBPVP8 \0\0\0\0\0\0\0\x9d\x01\x2a" + struct.pack("<HH", width, height)
    ),
    "WebP lossless": lambda width, height: (
        b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f" + struct.pack("<I", width - 1 | height - 1 << 14)
    ),
    "WebP extended": lambda width, height: (
        b"RIFF\0\0\0\0WEBPVP8X\0\0\0\0\0\0\0\0"
        + (width - 1).to_bytes(3, "little")
        + (height - 1).to_bytes(3, "little")
    ),
    "TIFF": lambda width, height: (
        b"II*\0\x08\0\0\0" + struct.pack("<H2HII2HII", 2, 256, 4, 1, width, 257, 4, 1, height)
    ),
    "TIFF big-endian": lambda width, height: (
        b"MM\0*\0\0\0\x08" + struct.pack(">H2HIHH2HII", 2, 256, 3, 1, width, 0, 257, 4, 1, height)
    ),
    "BigTIFF": lambda width, height: (
        b"II+\0\x08\0\0\0\x10\0\0\0\0\0\0\0"
        + struct.pack("<Q2HQQ2HQQ", 2, 256, 16, 1, width, 257, 16, 1, height)
    ),
    "JPEG": lambda width, height: (
        b"\xff\xd8\xff\xc0" + struct.pack(">HBHHB", 17, 8, height, width, 3) + bytes(9)
    ),
}
"""Headers alone: whatever reads a pixel of them fails."""


@pytest.mark.parametrize("name", BOMBS)
def test_too_many_pixels_are_refused_by_the_header(name: str) -> None:
    limits = DecodeSettings(max_pixels=1_000_000, max_side=8_000)
    error = refusal(BOMBS[name](7_999, 7_998), limits)
    assert error.reason is Reason.TOO_MANY_PIXELS
    assert "7999x7998" in error.message
    for size in ((8_001, 2), (2, 8_001)):
        error = refusal(BOMBS[name](*size), limits)
        assert error.reason is Reason.TOO_MANY_PIXELS
        assert "longest side may be 8000" in error.message
    assert refusal(BOMBS[name](100, 100), limits).reason is Reason.CORRUPT_IMAGE


@pytest.mark.parametrize("name", ["PNG", "GIF", "BMP", "TIFF", "JPEG"])
def test_an_empty_picture_is_refused(name: str, limits: DecodeSettings) -> None:
    for size in ((0, 5), (5, 0)):
        error = refusal(BOMBS[name](*size), limits)
        assert error.reason is Reason.CORRUPT_IMAGE
        assert f"{size[0]}x{size[1]}" in error.message


def test_the_codecs_own_limit_holds_whatever_the_settings_say() -> None:
    limits = DecodeSettings(max_pixels=2**30, max_side=100_000)
    assert refusal(png_header(20_000, 20_000), limits).reason is Reason.TOO_MANY_PIXELS


def scans(count: int) -> bytes:
    """A progressive JPEG whose last scan is repeated up to `count` scans."""
    data = encode(Image.fromarray(noise(16, 16)), "JPEG", progressive=True)
    first = data.index(b"\xff\xda")
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * (count - data.count(b"\xff\xda", first) + 1) + b"\xff\xd9"


def test_a_scan_bomb_is_refused(limits: DecodeSettings) -> None:
    assert scans(MAX_SCANS + 1).count(b"\xff\xda") == MAX_SCANS + 1
    error = refusal(scans(MAX_SCANS + 1), limits)
    assert error.reason is Reason.CORRUPT_IMAGE
    assert f"more than {MAX_SCANS} scans" in error.message
    assert "scans" not in refusal(scans(MAX_SCANS), limits).message  # libjpeg objects to it


def test_a_segment_bomb_is_refused(limits: DecodeSettings) -> None:
    error = refusal(b"\xff\xd8" + b"\xff\xe0\0\x02" * 500_000, limits)
    assert error.reason is Reason.CORRUPT_IMAGE
    assert "segments" in error.message


@pytest.mark.parametrize("name", ["JPEG", "PNG"])
def test_decoding_releases_the_gil(name: str, limits: DecodeSettings) -> None:
    """Python code runs beside a decoder: both get processor time, however busy the machine is."""
    data = encode(noise(3000, 2000), name)
    decoding: list[float] = []

    def work() -> None:
        began = time.thread_time()
        decode(data, limits)
        decoding.append(time.thread_time() - began)

    thread = threading.Thread(target=work)
    began = time.thread_time()
    thread.start()
    while not decoding:
        pass  # spin: only a thread that has the GIL gets on here
    beside = time.thread_time() - began
    thread.join()
    assert beside > decoding[0] / 4


def test_a_whole_photograph_is_decoded_by_many_threads_at_once(
    photograph: Callable[[str], bytes], limits: DecodeSettings
) -> None:
    files = [photograph(name) for name in ("china.jpg", "chelsea.png", "lossy.webp")]
    expected = [decode(file, limits) for file in files]
    wrong: list[int] = []

    def work() -> None:
        for number, file in enumerate(files):
            if not np.array_equal(decode(file, limits), expected[number]):
                wrong.append(number)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_large_photograph(limits: DecodeSettings) -> None:
    data = encode(noise(6000, 4000), "JPEG")
    assert decode(data, limits).shape == (4000, 6000, 3)
