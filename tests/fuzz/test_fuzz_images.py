"""Inputs shaped like images and their texts, for the checks of the targets, and for drawing."""

from __future__ import annotations

import base64

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.support.fuzz.addresses import check_image_text
from tests.support.fuzz.damage import damaged
from tests.support.fuzz.images import check_decode
from tests.support.make import encode, encode_cv2, noise, oriented
from worker.images.base64 import decode_image_text
from worker.images.draw import draw
from worker.images.retry_after import parse_retry_after

RGB = noise(40, 24)
PICTURE = Image.fromarray(RGB)
GREY16 = RGB[:, :, 0].astype(np.uint16) * 257
FILES = [
    encode(PICTURE, "JPEG"),
    encode(PICTURE, "JPEG", progressive=True),
    encode(PICTURE.convert("CMYK"), "JPEG"),
    oriented(PICTURE, "JPEG", 6),
    encode(PICTURE, "PNG"),
    encode(PICTURE.quantize(12), "PNG", bits=4),
    encode(PICTURE, "PNG", save_all=True, append_images=[PICTURE.rotate(90)]),
    encode_cv2(GREY16, ".png"),
    encode(PICTURE, "WEBP"),
    encode(PICTURE, "WEBP", lossless=True),
    oriented(PICTURE, "WEBP", 3),
    encode(PICTURE, "WEBP", save_all=True, append_images=[PICTURE.rotate(90)]),
    encode(PICTURE.quantize(8), "GIF"),
    encode(PICTURE, "GIF", save_all=True, append_images=[PICTURE.rotate(90)]),
    encode(PICTURE, "BMP"),
    encode(PICTURE.quantize(8), "BMP"),
    encode(PICTURE, "TIFF"),
    encode(PICTURE, "TIFF", compression="tiff_lzw"),
    encode(PICTURE, "TIFF", compression="jpeg"),
    encode(PICTURE.convert("1"), "TIFF", compression="group4"),
    encode(PICTURE, "TIFF", big_tiff=True),
]


@settings(max_examples=1000, deadline=None)
@given(damaged(FILES))
def test_damaged_images(data: bytes) -> None:
    check_decode(data)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(
        [
            b"",
            b"\xff\xd8\xff",
            b"\x89PNG\r\n\x1a\n",
            b"RIFF\0\0\0\0WEBP",
            b"GIF89a",
            b"II*\0",
            b"MM\0+",
            b"BM" + bytes(12) + b"\x28\0\0\0",
        ]
    ),
    st.binary(max_size=300),
)
@example(b"II+\0", b"\x08\0\0\0" + b"\xff" * 8)
@example(b"\xff\xd8\xff", b"\xe1\0\x10Exif\0\0II*\0\xff\xff\xff\xff")
def test_bytes_behind_a_known_beginning(magic: bytes, rest: bytes) -> None:
    check_decode(magic + rest)


@settings(max_examples=500, deadline=None)
@given(
    st.one_of(
        st.text(),
        st.text(alphabet="AZaz09+/=-_ \r\n%,;:!"),
        st.text(alphabet="AZaz09+/=-_ \r\n%,;:!").map("data:image/png;base64,".__add__),
        st.text().map("data:,".__add__),
    ),
    st.integers(1, 100),
)
def test_any_text(text: str, most: int) -> None:
    check_image_text(text, most)


@settings(max_examples=300, deadline=None)
@given(st.binary(min_size=1, max_size=300), st.booleans(), st.integers(1, 80), st.booleans())
def test_base64_comes_back_in_any_shape(
    data: bytes, url_safe: bool, line: int, padded: bool
) -> None:
    text = (base64.urlsafe_b64encode if url_safe else base64.b64encode)(data).decode()
    if not padded:
        text = text.rstrip("=")
    wrapped = "\n".join(text[at : at + line] for at in range(0, len(text), line))
    # Very short lines make a text longer than its bytes account for; that is a limit's business.
    assert decode_image_text(wrapped, max(len(data), 2 * len(wrapped))) == data


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.text(), st.text(alphabet="0123456789:, GMTJanThu")))
def test_any_retry_after(text: str) -> None:
    seconds = parse_retry_after(text, 0.0)
    assert seconds is None or seconds >= 0


@settings(max_examples=200, deadline=None)
@given(
    st.text(max_size=400),
    st.floats(0, 1),
    st.integers(1, 700),
    st.integers(1, 60),
    st.booleans(),
)
def test_any_label_on_any_picture(
    label: str, score: float, long: int, short: int, upright: bool
) -> None:
    shape = (long, short, 3) if upright else (short, long, 3)
    assert draw(np.zeros(shape, np.uint8), label, score, 85).startswith(b"\xff\xd8")
