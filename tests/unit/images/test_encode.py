"""Pictures as files: each format holds the pixels, and says when it cannot."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from worker.image_formats import WRITABLE_SUFFIXES
from worker.images.decode import decode
from worker.images.encode import as_pillow, encode
from worker.images.sniffing import sniff
from worker.settings import DecodeSettings


@pytest.fixture
def pixels() -> npt.NDArray[np.uint8]:
    """A smooth image, so that JPEG keeps it closely; blue, green and red all differ."""
    rows, columns = np.mgrid[0:48, 0:64]
    return np.stack([rows * 5, columns * 3, 255 - rows - columns], axis=2).astype(np.uint8)


@pytest.mark.parametrize("suffix", sorted(WRITABLE_SUFFIXES))
def test_what_is_written_is_read_again(suffix: str, pixels: npt.NDArray[np.uint8]) -> None:
    data = encode(pixels, suffix, 95)
    assert sniff(data).value[:2].lower() == {".jf": "jp", ".we": "we"}.get(suffix[:3], suffix[1:3])
    again = decode(data, DecodeSettings())
    allowed = 12 if suffix.startswith(".j") else 0
    assert np.abs(again.astype(int) - pixels).max() <= allowed


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_view_with_reversed_channels_is_written_as_it_looks(
    suffix: str, pixels: npt.NDArray[np.uint8]
) -> None:
    again = decode(encode(pixels[..., ::-1], suffix, 95), DecodeSettings())
    assert np.abs(again.astype(int) - pixels[..., ::-1]).max() <= 12


def test_a_format_that_is_not_written_is_named() -> None:
    with pytest.raises(ValueError, match=r"not written as '\.gif': use \.bmp, \.jfif"):
        encode(np.zeros((2, 2, 3), np.uint8), ".gif", 85)


def test_an_image_too_large_for_its_format_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\.webp file cannot hold 20000x1 pixels: use \.png"):
        encode(np.zeros((1, 20_000, 3), np.uint8), ".webp", 85)


def test_pillow_gets_the_same_colours(pixels: npt.NDArray[np.uint8]) -> None:
    picture = as_pillow(pixels)
    assert (picture.mode, picture.size) == ("RGB", (64, 48))
    np.testing.assert_array_equal(np.asarray(picture)[..., ::-1], pixels)
