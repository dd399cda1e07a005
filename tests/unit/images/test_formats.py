from __future__ import annotations

from collections.abc import Callable

import pytest

from worker.errors import JobError, Reason
from worker.images.formats import ImageFormat, sniff


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("astronaut.jpg", ImageFormat.JPEG),
        ("progressive.jpg", ImageFormat.JPEG),
        ("chelsea.png", ImageFormat.PNG),
        ("lossy.webp", ImageFormat.WEBP),
        ("palette.gif", ImageFormat.GIF),
    ],
)
def test_the_first_bytes_decide(
    photograph: Callable[[str], bytes], name: str, expected: ImageFormat
) -> None:
    assert sniff(photograph(name)) is expected


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b"this is not an image", "first bytes: 74 68 69 73 20 69 73 20"),
        (b"BMW is a car maker", "first bytes: 42 4d 57"),
        (b"\xff\xd8", "first bytes: ff d8"),
        (b"  <!DOCTYPE html><html>", "HTML page: use the address of the image itself"),
        (b"<html><body>404", "HTML page"),
        (b'<?xml version="1.0"?><svg/>', "SVG"),
        (b"<svg xmlns='x'/>", "SVG"),
        (b"\0\0\0 ftypavif\0\0\0\0", "AVIF"),
        (b"\0\0\0 ftypheic\0\0\0\0", "HEIC"),
        (b"\0\0\0 ftypisom\0\0\0\0", "video"),
        (b"\xff\x0a\x00", "JPEG XL"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (b"\0\0\1\0\1\0", "ICO"),
        (b"8BPS\0\1", "Photoshop"),
        (b"%PDF-1.7", "PDF"),
        (b"PK\3\4", "ZIP"),
        (b"\x1f\x8b\x08", "gzip"),
        (b'{"image": "..."}', "JSON"),
        (b"data:image/png;base64,iVBORw0KGgo", "decode it first"),
        (b"/9j/4AAQSkZJRg", "decode it first"),
        (b"https://example.com/a.jpg", "decode it first"),
    ],
)
def test_what_is_no_image_is_named_if_known(data: bytes, says: str) -> None:
    with pytest.raises(JobError, match=says) as caught:
        sniff(data)
    assert caught.value.reason is Reason.NOT_AN_IMAGE
    assert "send JPEG, PNG, WebP, BMP, GIF or TIFF" in caught.value.message
