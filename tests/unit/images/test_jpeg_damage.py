"""JPEG with an odd header, with damage, and both: the pixels of the whole file, or a refusal."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.support.make import Pixels, encode, encode_cv2, noise, oriented
from worker.errors import JobError, Reason
from worker.images.decode import decode
from worker.images.jpeg import segments
from worker.images.jpeg_repair import MAX_PADDING, without_oddities
from worker.settings import DecodeSettings

LIMITS = DecodeSettings()
PICTURE = Image.fromarray(noise(120, 80))
GREY = PICTURE.convert("L")
CMYK = PICTURE.convert("CMYK")
BGR = np.ascontiguousarray(np.asarray(PICTURE)[:, :, ::-1])
END = b"\xff\xd9"

FILES = {
    "baseline": encode(PICTURE, "JPEG"),
    "4:4:4 of quality 95": encode(PICTURE, "JPEG", quality=95, subsampling=0),
    "optimised": encode(PICTURE, "JPEG", optimize=True),
    "progressive": encode(PICTURE, "JPEG", progressive=True),
    "grey": encode(GREY, "JPEG"),
    "grey progressive": encode(GREY, "JPEG", progressive=True),
    "CMYK": encode(CMYK, "JPEG"),
    "CMYK progressive": encode(CMYK, "JPEG", progressive=True),
    "RGB": encode(PICTURE, "JPEG", keep_rgb=True),
    "restarts": encode_cv2(BGR, ".jpg", cv2.IMWRITE_JPEG_RST_INTERVAL, 4),
    "turned": oriented(PICTURE, "JPEG", 6),
}


def segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def scan_header(data: bytes) -> int:
    return data.index(b"\xff\xda")


def as_it_is(data: bytes) -> bytes:
    return data


def stray_bytes_before_the_scan(data: bytes) -> bytes:
    at = scan_header(data)
    return data[:at] + b"abc" + data[at:]


def stray_zeros_between_headers(data: bytes) -> bytes:
    at = data.index(b"\xff\xdb")
    return data[:at] + bytes(300) + data[at:]


def future_jfif(data: bytes) -> bytes:
    at = data.find(b"JFIF\0")
    return data if at < 0 else data[: at + 5] + b"\x09" + data[at + 6 :]


def bad_profile(data: bytes) -> bytes:
    return data[:2] + segment(0xE2, b"ICC_PROFILE\0\5\2junk") + data[2:]


def repeated_profile(data: bytes) -> bytes:
    return data[:2] + 2 * segment(0xE2, b"ICC_PROFILE\0\1\2junk") + data[2:]


def unknown_adobe_transform(data: bytes) -> bytes:
    """Only where it says nothing of the colours: JFIF has said that they are YCbCr."""
    if b"JFIF\0" not in data:
        return data
    return data[:2] + segment(0xEE, b"Adobe\0\x64\0\0\0\0\x07") + data[2:]


def odd_scan_parameters(data: bytes) -> bytes:
    at = scan_header(data)
    if b"\xff\xc2" in data[:at]:
        return data
    at += 5 + 2 * data[at + 4]
    return data[:at] + bytes([1, 62, 0]) + data[at + 3 :]


def padded_end(data: bytes) -> bytes:
    return data[:-2] + bytes(MAX_PADDING) + data[-2:] if data.endswith(END) else data


def padded_restarts(data: bytes) -> bytes:
    for number in range(8):
        data = data.replace(bytes([0xFF, 0xD0 + number]), bytes([0] * 12 + [0xFF, 0xD0 + number]))
    return data


ODDITIES = (
    as_it_is,
    stray_bytes_before_the_scan,
    stray_zeros_between_headers,
    future_jfif,
    bad_profile,
    repeated_profile,
    unknown_adobe_transform,
    odd_scan_parameters,
    padded_end,
)


def losses(data: bytes) -> Iterator[tuple[str, bytes]]:
    """The file without the rest of its pixels, and with something else in their place."""
    first = scan_header(data) + 20
    rest = len(data) - first
    for share in (0.02, 0.3, 0.7, 0.97):
        at = first + int(rest * share)
        missing = len(data) - at
        yield f"cut at {share}", data[:at]
        yield f"cut at {share}, with an end", data[:at] + END
        for fill in (b"\0", b"\x55", b"\xff"):
            yield f"{fill!r} from {share}", data[:at] + fill * missing
            yield f"{fill!r} from {share}, with an end", data[:at] + fill * (missing - 2) + END
    yield "a thousand bytes before the end", data[:-2] + bytes(1000) + data[-2:]
    yield "a hundred bytes before the end", data[:-2] + b"\x5a" * 100 + data[-2:]


def by_opencv(data: bytes) -> Pixels:
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_BGR), np.uint8)


def reason(data: bytes) -> Reason | None:
    """Why it is refused; None when it is not."""
    try:
        decode(data, LIMITS)
    except JobError as error:
        return error.reason
    return None


@pytest.mark.parametrize("oddity", ODDITIES)
@pytest.mark.parametrize("name", FILES)
def test_an_oddity_changes_no_pixel(name: str, oddity: Callable[[bytes], bytes]) -> None:
    assert np.array_equal(decode(oddity(FILES[name]), LIMITS), decode(FILES[name], LIMITS))


def test_oddities_add_up() -> None:
    data = FILES["baseline"]
    for oddity in ODDITIES:
        data = oddity(data)
    assert np.array_equal(decode(data, LIMITS), decode(FILES["baseline"], LIMITS))


@pytest.mark.parametrize(
    "oddity", [as_it_is, stray_bytes_before_the_scan, bad_profile, future_jfif]
)
@pytest.mark.parametrize("name", FILES)
def test_lost_pixels_are_refused_whatever_else_is_odd(
    name: str, oddity: Callable[[bytes], bytes]
) -> None:
    for loss, data in losses(FILES[name]):
        assert reason(oddity(data)) is Reason.CORRUPT_IMAGE, loss


def test_restart_intervals_may_be_padded() -> None:
    data = FILES["restarts"]
    assert np.array_equal(decode(padded_restarts(data), LIMITS), decode(data, LIMITS))


@pytest.mark.parametrize("code", [0, 1, 2, 7])
def test_colours_stay_what_adobes_code_says(code: int) -> None:
    """libjpeg takes an unknown code for YCbCr; what is repaired is taken for the same."""
    data = FILES["RGB"]
    at = data.index(b"Adobe") + 11
    coded = data[:at] + bytes([code]) + data[at + 1 :]
    expected = by_opencv(coded)
    assert np.array_equal(decode(coded, LIMITS), expected)
    assert np.array_equal(decode(stray_bytes_before_the_scan(coded), LIMITS), expected)


def scan_by_scan(data: bytes) -> list[int]:
    """Where each scan of a progressive file begins, with its tables."""
    starts = []
    position = scan_header(data)
    while (position := data.find(b"\xff\xda", position)) >= 0:
        starts.append(position)
        position += 2
    return starts


@pytest.mark.parametrize("name", ["progressive", "grey progressive", "CMYK progressive"])
def test_a_file_that_ends_between_two_scans_is_refused(name: str) -> None:
    data = FILES[name]
    for start in scan_by_scan(data)[1:]:
        tables = data.rfind(b"\xff\xc4", 0, start)
        for end in {start, tables}:
            with pytest.raises(JobError, match="scan is missing") as caught:
                decode(data[:end] + END, LIMITS)
            assert caught.value.reason is Reason.CORRUPT_IMAGE


def of_sampling(horizontal: int, vertical: int, units: int = 150) -> bytes:
    """A file of flat blocks in a sampling that no encoder here writes.

    Each block is a little lighter or darker than the one before, or the same.
    """
    frame = struct.pack(">BHHB", 8, 8 * vertical, 8 * horizontal * units, 3) + bytes(
        [1, horizontal << 4 | vertical, 0, 2, 0x11, 0, 3, 0x11, 0]
    )
    # DC: 00 for no difference, 01 for one of a bit; AC: 00 for no more. 10 and 110 are not used.
    tables = segment(0xDB, bytes([0] + [64] * 64)) + b"".join(
        segment(0xC4, bytes([kind, 0, 3, 1] + [0] * 13 + [0, 1, 2, 3])) for kind in (0x00, 0x10)
    )
    scan = segment(0xDA, bytes([3, 1, 0, 2, 0, 3, 0, 0, 63, 0]))
    choices = np.random.default_rng(0).integers(0, 3, units * (horizontal * vertical + 2))
    bits = "".join(("0000", "01000", "01100")[choice] for choice in choices)
    bits += "1" * (-len(bits) % 8)
    coded = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
    return b"\xff\xd8" + tables + segment(0xC0, frame) + scan + coded + END


@pytest.mark.parametrize("sampling", [(4, 2), (2, 4), (3, 1), (1, 3), (3, 2)])
def test_unusual_samplings_are_decoded_and_their_losses_found(sampling: tuple[int, int]) -> None:
    data = of_sampling(*sampling)
    expected = by_opencv(data)
    assert len(np.unique(expected)) > 20
    for oddity in (as_it_is, stray_bytes_before_the_scan, bad_profile):
        assert np.array_equal(decode(oddity(data), LIMITS), expected)
        for loss, damaged in losses(data):
            if oddity(damaged) == oddity(data):
                continue
            assert reason(oddity(damaged)) is Reason.CORRUPT_IMAGE, loss


@pytest.mark.parametrize("end", [b"", b"\x00", b"\xd0", b"\xff\xd9"])
@pytest.mark.parametrize("scan", [b"", b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00"])
def test_a_long_row_of_fill_bytes_is_read_once(scan: bytes, end: bytes) -> None:
    """Each was tried as a marker's beginning: 40 kB took 18 s, these would take days."""
    data = encode(noise(16, 16), "JPEG")
    frame = data.index(b"\xff\xc0")
    row = b"\xff" * (4 << 20)

    for begin in (data[:2], data[: frame + 19]):
        without_oddities(begin + scan + row + end, padding=False)
        with pytest.raises(JobError):
            decode(begin + scan + row + end, DecodeSettings())


def test_fill_bytes_before_markers_are_no_pixels() -> None:
    data = b"\xff\xd8\xff\xff\xda\x00\x03\x01pixels\xff\xff\xd0more\xff\xff\xff\xd9"
    *_, scan, last = segments(data)

    assert data[scan.end : last.at] == b"pixels\xff\xff\xd0more"
