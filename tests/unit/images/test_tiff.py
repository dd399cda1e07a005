"""Pages of TIFF files, found without decoding."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from worker.images.decode import decode
from worker.images.tiff import MAX_PAGES, page_offsets, with_first_page
from worker.settings import DecodeSettings

GREYS = (10, 120, 230)


def pages(*greys: int, big: bool = False) -> bytes:
    """A TIFF with an 8x6 page of each grey."""
    first, *rest = (Image.new("RGB", (8, 6), (grey, grey, grey)) for grey in greys)
    buffer = io.BytesIO()
    first.save(buffer, "TIFF", save_all=True, append_images=rest, big_tiff=big)
    return buffer.getvalue()


@pytest.mark.parametrize("big", [False, True], ids=["TIFF", "BigTIFF"])
def test_each_page_can_be_the_first(big: bool) -> None:
    data = pages(*GREYS, big=big)
    offsets = page_offsets(data)
    decoded = [decode(with_first_page(data, offset), DecodeSettings()) for offset in offsets]
    assert [pixels.shape for pixels in decoded] == [(6, 8, 3)] * 3
    assert [int(pixels[0, 0, 0]) for pixels in decoded] == list(GREYS)


def test_big_endian_files_have_pages_too() -> None:
    # Two directories without entries, the second one the last.
    data = b"MM\0\x2a" + struct.pack(">IHIHI", 8, 0, 14, 0, 0)
    assert page_offsets(data) == [8, 14]
    assert with_first_page(data, 14)[:8] == b"MM\0\x2a" + struct.pack(">I", 14)


def test_pages_that_form_a_circle_are_counted_once() -> None:
    data = b"II\x2a\0" + struct.pack("<IHIHI", 8, 0, 14, 0, 8)
    assert page_offsets(data) == [8, 14]


def test_a_page_behind_the_end_is_one() -> None:
    data = pages(*GREYS)
    last = page_offsets(data)[-1]
    assert page_offsets(data[:last]) == page_offsets(data)


def test_no_more_pages_than_that_are_looked_for() -> None:
    directories = b"".join(struct.pack("<HI", 0, 14 + 6 * number) for number in range(2000))
    assert len(page_offsets(b"II\x2a\0" + struct.pack("<I", 8) + directories)) == MAX_PAGES


@pytest.mark.parametrize(
    "data", [b"", b"II", b"II\x2a\0", b"II\x2a\0\x08\0\0", b"\xff\xd8\xff\xe0" * 9]
)
def test_what_is_no_tiff_has_no_pages(data: bytes) -> None:
    assert page_offsets(data) == []


@given(
    st.binary(max_size=64), st.sampled_from([b"II\x2a\0", b"MM\0\x2a", b"II\x2b\0", b"MM\0\x2b"])
)
def test_whatever_stands_in_it_the_search_ends(rest: bytes, start: bytes) -> None:
    data = start + rest
    for offset in page_offsets(data):
        assert len(with_first_page(data, offset)) >= len(start)


def test_a_page_keeps_the_rest_of_the_file() -> None:
    data = pages(*GREYS)
    assert with_first_page(data, page_offsets(data)[0]) == data
    assert np.frombuffer(with_first_page(data, 8), np.uint8)[8:].tobytes() == data[8:]
