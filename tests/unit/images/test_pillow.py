"""A caller's Pillow images give the pixels that their files give."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.make import noise
from tests.support.paths import IMAGES
from worker.errors import JobError, Reason
from worker.images.decode import decode
from worker.images.pillow import from_pillow, is_pillow_image
from worker.settings import DecodeSettings

DATA = IMAGES
FILES = sorted(path for path in DATA.iterdir() if path.suffix in {".jpg", ".png", ".gif", ".webp"})
BROKEN = {"truncated.jpg", "broken_animation.png"}


@pytest.mark.parametrize("path", [p for p in FILES if p.name not in BROKEN], ids=lambda p: p.name)
def test_an_image_has_its_files_pixels(path: Path) -> None:
    with Image.open(path) as image:
        found = from_pillow(image)
    expected = decode(path.read_bytes(), DecodeSettings())
    assert found.shape == expected.shape
    tolerance = 1 if path.name == "cmyk.jpg" else 0  # which Pillow and libjpeg convert differently
    assert np.abs(found.astype(int) - expected).max() <= tolerance


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"]
)
def test_every_mode_becomes_bgr(mode: str) -> None:
    image = Image.fromarray(noise(16, 12)).convert(mode)
    found = from_pillow(image)
    assert found.shape == (12, 16, 3)
    assert found.dtype == np.uint8
    assert np.array_equal(found[..., ::-1], np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("mode", ["I", "F"])
def test_values_without_a_range_are_refused(mode: str) -> None:
    with pytest.raises(JobError, match=rf"has mode {mode}: scale its values") as caught:
        from_pillow(Image.new(mode, (4, 4)))
    assert caught.value.reason is Reason.NOT_AN_IMAGE


def test_a_file_that_is_cut_off_is_damaged() -> None:
    with Image.open(DATA / "truncated.jpg") as image, pytest.raises(JobError) as caught:
        from_pillow(image)
    assert caught.value.reason is Reason.CORRUPT_IMAGE
    assert caught.value.message.startswith("the Pillow image cannot be read: image file is trunc")


def test_an_image_whose_file_is_closed_says_so() -> None:
    with Image.open(DATA / "chelsea.jpg") as image:
        pass
    with pytest.raises(JobError, match="the Pillow image cannot be read: "):
        from_pillow(image)


def test_what_is_no_pillow_image() -> None:
    assert is_pillow_image(Image.new("L", (1, 1)))
    assert not is_pillow_image(np.zeros((1, 1), np.uint8))
    assert not is_pillow_image(Image)
