"""The table of formats, and that its two halves and what follows from it agree."""

from __future__ import annotations

import pytest
from PIL import Image

from worker.image_formats import IMAGE_SUFFIXES, MEDIA_TYPES, WRITABLE_SUFFIXES, ImageFormat, listed
from worker.images.decoders import DECODERS


def test_every_format_has_a_decoder() -> None:
    assert set(DECODERS) == set(ImageFormat)


@pytest.mark.parametrize("image_format", ImageFormat)
def test_pillow_calls_them_the_same(image_format: ImageFormat) -> None:
    Image.init()
    # It reads more formats than it has media types for.
    media_type = Image.MIME.get(image_format.upper(), image_format.media_type)
    assert image_format.media_type == media_type
    extensions = Image.registered_extensions()
    assert {extensions[suffix] for suffix in image_format.suffixes} == {image_format.upper()}


def test_no_suffix_and_no_media_type_is_shared() -> None:
    assert sum(len(each.suffixes) for each in ImageFormat) == len(IMAGE_SUFFIXES)
    assert len(set(MEDIA_TYPES)) == len(MEDIA_TYPES)
    assert all(suffix == suffix.lower() and suffix[0] == "." for suffix in IMAGE_SUFFIXES)


def test_pictures_are_saved_in_all_formats_but_gif() -> None:
    assert {".gif"} == IMAGE_SUFFIXES - WRITABLE_SUFFIXES


def test_the_formats_in_a_sentence() -> None:
    assert listed() == "JPEG, PNG, WebP, BMP, GIF or TIFF"
    assert f"the {ImageFormat.WEBP} file" == "the WebP file"
