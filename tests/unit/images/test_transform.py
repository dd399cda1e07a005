from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.support.make import Pixels, noise
from worker.errors import JobError, ModelError, Reason
from worker.images import pillow_bicubic
from worker.images.decode import decode
from worker.images.opencv_bilinear import bilinear
from worker.images.pillow_bicubic import is_suitable
from worker.images.transform import MAX_RESIZED_PIXELS, Transform
from worker.model import CenterCrop, Resize
from worker.settings import DecodeSettings

SIZES = [
    (640, 480),
    (480, 640),
    (451, 300),
    (256, 256),
    (257, 256),
    (300, 301),
    (224, 224),
    (1, 1),
    (7, 3),
    (2000, 20),
    (20, 2000),
    (1333, 999),
]
"""Widths and heights; with some of them the longer side is rounded, up, down or from a half."""

CV2 = {
    "nearest": cv2.INTER_NEAREST,
    "bilinear": cv2.INTER_LINEAR,
    "bicubic": cv2.INTER_CUBIC,
    "area": cv2.INTER_AREA,
    "lanczos": cv2.INTER_LANCZOS4,
}
PIL = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "area": Image.Resampling.BOX,
    "box": Image.Resampling.BOX,
    "hamming": Image.Resampling.HAMMING,
    "lanczos": Image.Resampling.LANCZOS,
}


def by_the_book(rgb: Pixels, resize: Resize, crop: CenterCrop | None) -> Pixels:
    """PaddleX's steps, one after the other, on the whole RGB image."""
    height, width = rgb.shape[:2]
    if resize.size is not None:
        size = resize.size
    else:
        assert resize.short is not None
        scale = resize.short / min(height, width)
        size = (round(width * scale), round(height * scale))
    if size == (width, height):
        scaled = rgb
    elif resize.backend == "pil":
        scaled = np.asarray(Image.fromarray(rgb).resize(size, PIL[resize.interpolation]))
    else:
        scaled = np.asarray(cv2.resize(rgb, size, interpolation=CV2[resize.interpolation]))
    if crop is None:
        return scaled
    left = (scaled.shape[1] - crop.width) // 2
    top = (scaled.shape[0] - crop.height) // 2
    return scaled[top : top + crop.height, left : left + crop.width]


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize(
    ("resize", "crop"),
    [
        (Resize(256, None), CenterCrop(224, 224)),
        (Resize(256, None, "bicubic", "pil"), CenterCrop(224, 224)),
        (Resize(248, None, "bilinear", "pil"), CenterCrop(224, 224)),
        (Resize(232, None, "bicubic"), CenterCrop(224, 200)),
        (Resize(232, None, "area"), CenterCrop(224, 224)),
        (Resize(225, None, "lanczos"), CenterCrop(224, 224)),
        (Resize(224, None, "nearest"), CenterCrop(224, 224)),
        (Resize(None, (224, 224), "bicubic", "pil"), None),
        (Resize(None, (384, 320), "bilinear"), None),
        (Resize(None, (512, 480), "bilinear"), CenterCrop(224, 224)),
        (Resize(None, (256, 256), "lanczos", "pil"), CenterCrop(224, 224)),
        (Resize(None, (256, 256), "area", "pil"), CenterCrop(224, 224)),
        (Resize(None, (256, 256), "nearest", "pil"), CenterCrop(224, 224)),
        (Resize(232, None, "box", "pil"), CenterCrop(224, 224)),
        (Resize(232, None, "hamming", "pil"), CenterCrop(224, 224)),
    ],
    ids=str,
)
def test_every_pixel_is_the_references(
    size: tuple[int, int], resize: Resize, crop: CenterCrop | None
) -> None:
    rgb = noise(*size)
    bgr = np.ascontiguousarray(rgb[:, :, ::-1])
    before = bgr.copy()
    result = Transform(resize, crop)(bgr)
    assert np.array_equal(result, by_the_book(rgb, resize, crop))
    assert result.dtype == np.uint8
    assert result.flags.c_contiguous
    assert result.base is None or not np.shares_memory(result, bgr)
    assert np.array_equal(bgr, before)


def test_without_resize_and_crop_only_the_channels_are_swapped() -> None:
    bgr = noise(30, 20)
    result = Transform(None, None)(bgr)
    assert np.array_equal(result, bgr[:, :, ::-1])
    assert not np.shares_memory(result, bgr)


@pytest.mark.parametrize("resize", [None, Resize(20, None), Resize(None, (30, 20))])
def test_channels_stay_as_they_are_for_a_model_that_wants_bgr(resize: Resize | None) -> None:
    bgr = noise(30, 20)
    result = Transform(resize, CenterCrop(16, 16), "BGR")(bgr)
    assert np.array_equal(result, Transform(resize, CenterCrop(16, 16))(bgr)[:, :, ::-1])
    assert result.flags.c_contiguous
    assert not np.shares_memory(result, bgr)


def test_a_crop_alone_takes_the_centre() -> None:
    bgr = noise(31, 24)
    assert np.array_equal(Transform(None, CenterCrop(10, 11))(bgr), bgr[6:17, 10:20, ::-1])


@pytest.mark.parametrize("size", [(223, 300), (300, 223), (1, 1)])
def test_an_image_smaller_than_the_crop_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(JobError, match="send a larger one") as caught:
        Transform(None, CenterCrop(224, 224))(noise(*size))
    assert caught.value.reason is Reason.CORRUPT_IMAGE
    assert f"{size[0]}x{size[1]}" in caught.value.message


@pytest.mark.parametrize(
    "resize", [Resize(200, None), Resize(None, (200, 300)), Resize(None, (300, 200))]
)
def test_a_crop_that_no_image_can_fill_is_the_models_fault(resize: Resize) -> None:
    with pytest.raises(ModelError, match="224x224"):
        Transform(resize, CenterCrop(224, 224))


@pytest.mark.parametrize("backend", ["cv2", "pil"])
def test_a_thread_thin_image_is_refused_before_it_is_scaled(backend: str) -> None:
    transform = Transform(Resize(256, None, "bilinear", backend), CenterCrop(224, 224))  # type: ignore[arg-type]
    longest = MAX_RESIZED_PIXELS // 256**2
    with pytest.raises(JobError, match="too elongated") as caught:
        transform(np.zeros((1, longest + 1, 3), np.uint8))
    assert caught.value.reason is Reason.TOO_MANY_PIXELS
    assert transform(np.zeros((1, longest, 3), np.uint8)).shape == (224, 224, 3)


@settings(max_examples=300, deadline=None)
@given(
    size=st.tuples(st.integers(1, 400), st.integers(1, 400)),
    scaled=st.tuples(st.integers(1, 300), st.integers(1, 300)),
    crop=st.tuples(st.integers(1, 300), st.integers(1, 300)),
)
def test_bilinear_of_a_part_is_opencvs_in_every_pixel(
    size: tuple[int, int], scaled: tuple[int, int], crop: tuple[int, int]
) -> None:
    rgb, resize = noise(*size), Resize(None, scaled)
    cut = CenterCrop(min(crop[0], scaled[0]), min(crop[1], scaled[1]))
    result = Transform(resize, cut)(np.ascontiguousarray(rgb[:, :, ::-1]))
    assert np.array_equal(result, by_the_book(rgb, resize, cut))


@settings(max_examples=60, deadline=None)
@given(
    size=st.tuples(st.integers(224, 700), st.integers(224, 700)),
    short=st.sampled_from([224, 232, 256]),
)
def test_bilinear_as_most_models_want_it_is_opencvs(size: tuple[int, int], short: int) -> None:
    rgb, resize, cut = noise(*size), Resize(short, None), CenterCrop(224, 224)
    result = Transform(resize, cut)(np.ascontiguousarray(rgb[:, :, ::-1]))
    assert np.array_equal(result, by_the_book(rgb, resize, cut))


def test_bilinear_of_a_part_that_stays_as_large_as_its_source_is_opencvs() -> None:
    """OpenCV only copies an image whose size stays; that of the whole does not."""
    rgb = noise(400, 300)
    part = bilinear(rgb, (399, 299), (0, 100), (0, 100))
    assert np.array_equal(part, by_the_book(rgb, Resize(None, (399, 299)), None)[:100, :100])


def test_bilinear_of_a_side_too_long_for_exact_places_is_opencvs() -> None:
    strip = noise(40_002, 1)
    part = bilinear(strip, (2048, 1), (1024, 2048), (0, 1))
    assert np.array_equal(part, by_the_book(strip, Resize(None, (2048, 1)), None)[:, 1024:])


@settings(max_examples=60, deadline=None)
@given(
    size=st.tuples(st.integers(1, 400), st.integers(1, 400)),
    scaled=st.tuples(st.integers(1, 120), st.integers(1, 120)),
    crop=st.tuples(st.integers(1, 120), st.integers(1, 120)),
    kind=st.sampled_from(["noise", "black and white", "steps"]),
)
def test_bicubic_of_a_part_is_pillows_in_every_pixel(
    size: tuple[int, int], scaled: tuple[int, int], crop: tuple[int, int], kind: str
) -> None:
    rgb = noise(*size)
    if kind == "black and white":  # overshoots
        rgb = np.where(rgb > 127, 255, 0).astype(np.uint8)
    elif kind == "steps":  # many sums just between two values
        rgb = rgb // 128 * 3
    resize = Resize(None, scaled, "bicubic", "pil")
    cut = CenterCrop(min(crop[0], scaled[0]), min(crop[1], scaled[1]))
    result = Transform(resize, cut)(np.ascontiguousarray(rgb[:, :, ::-1]))
    assert np.array_equal(result, by_the_book(rgb, resize, cut))


def test_bicubic_of_photographs_is_pillows(photograph: Callable[[str], bytes]) -> None:
    resize, crop = Resize(256, None, "bicubic", "pil"), CenterCrop(224, 224)
    assert is_suitable((640, 427), (384, 256))
    for name in ("china.jpg", "astronaut.jpg", "coffee.jpg", "exif6.jpg"):
        bgr = decode(photograph(name), DecodeSettings())
        rgb = np.ascontiguousarray(bgr[:, :, ::-1])
        assert np.array_equal(Transform(resize, crop)(bgr), by_the_book(rgb, resize, crop))


def test_bicubic_takes_little_memory_where_every_sum_is_doubtful() -> None:
    """Rows of 0 and 1 in turn: each scaled pixel is just between the two."""
    striped = np.zeros((2048, 2048, 3), np.uint8)
    striped[::2] = 1
    resize = Resize(128, None, "bicubic", "pil")
    tracemalloc.start()
    try:
        part = pillow_bicubic.bicubic(striped, (128, 128), (8, 120), (8, 120))
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert np.array_equal(part, by_the_book(striped, resize, CenterCrop(112, 112)))
    assert most < striped.nbytes, "54 MB if all were computed at once"


def test_sums_that_single_precision_cannot_tell_are_computed_precisely(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A tolerance of half a step makes all of them doubtful: nothing comes from the products."""
    across = pillow_bicubic._filter
    rgb, resize = noise(300, 200), Resize(64, None, "bicubic", "pil")
    expected = by_the_book(rgb, resize, None)
    monkeypatch.setattr(
        pillow_bicubic, "_filter", lambda *sides: replace(across(*sides), tolerance=0.6)
    )
    assert np.array_equal(Transform(resize, None, "BGR")(rgb), expected)
