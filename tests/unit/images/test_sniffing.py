from __future__ import annotations

import struct
import tracemalloc
from collections.abc import Callable
from contextlib import suppress

import pytest

from worker.errors import JobError, Reason
from worker.image_formats import ImageFormat, listed
from worker.images.sniffing import refuse_unknown, sniff

TGA = [
    # Identifier's length, colours, kind, their table, origin, size, depth, order of rows.
    struct.pack("<3B5s4HBB", 0, 0, kind, bytes(5), 0, 0, 300, 200, depth, order)
    for kind, depth, order in [(2, 24, 0), (2, 32, 0x28), (3, 8, 0x20), (10, 24, 0), (11, 8, 0)]
] + [struct.pack("<3B5s4HBB", 0, 1, kind, b"\0\0\0\1\x18", 0, 0, 300, 200, 8, 0) for kind in (1, 9)]


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
        (b"\0\0\2\0\1\0", "CUR"),
        *((header, "TGA") for header in TGA),
        (b"\0\0\0 ftypcrx ", "raw photograph"),
        (b"\0\0\0 ftypmif1\0\0\0\0mif1avif", "AVIF"),
        (b"\0\0\0 ftypmif1\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0 ftypheix\0\0\0\0", "HEIC"),
        (b"\0\0\0 ftypjp2 \0\0\0\0", "JPEG 2000"),
        (b"II\xbc\1\x20\0\0\0", "JPEG XR"),
        (b"P6\n3 2\n255\n", "Netpbm"),
        (b"qoif\0\0\0\1", "QOI"),
        (b"\x8aMNG\r\n\x1a\n", "MNG"),
        (b"BA" + bytes(12) + b"BM", "array of bitmaps"),
        (b"\x0a\5\1\x08", "PCX"),
        (b"v/1\1", "OpenEXR"),
        (bytes(128) + b"DICM", "DICOM"),
        (b"\xef\xbb\xbf<!-- a --> <!DOCTYPE html>", "HTML page"),
        (b"\xef\xbb\xbf<svg", "SVG"),
        (b"RIFF\0\0\0\0AVI LIST", "video"),
        (b"\0\0\1\xba\x44", "video"),
        (b"\x1a\x45\xdf\xa3", "video"),
        (b"7z\xbc\xaf\x27\x1c", "archive"),
        (b"version https://git-lfs.github.com/spec/v1", "Git LFS"),
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
    assert f"send {listed()}" in caught.value.message


@pytest.mark.parametrize(
    "flood",
    [
        b"\r",
        b" ",
        b"\r\n\t",
        b"<!---->",
        b"<!-- a --> ",
        b"<!--",
        b"<!-- -",
        b"-->",
        b"\xef\xbb\xbf",
        b"<",
        b"{",
        b"....ftypavi",
    ],
)
@pytest.mark.parametrize("look", [sniff, refuse_unknown])
def test_what_a_look_costs_does_not_grow_with_the_file(
    flood: bytes, look: Callable[[bytes], object]
) -> None:
    """Comments in a row took forever, white space a hundred times its size."""
    data = flood * ((4 << 20) // len(flood))
    tracemalloc.start()
    try:
        with suppress(JobError):
            look(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1 << 20


@pytest.mark.parametrize("blank", [b" " * 1000, b"<!---->" * 500, b"\xef\xbb\xbf\n<!-- > -- -->\n"])
def test_pages_are_known_behind_blanks(blank: bytes) -> None:
    with pytest.raises(JobError, match="an HTML page"):
        sniff(blank + b"<!DOCTYPE html>")
