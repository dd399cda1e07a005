"""What bundles do with images, by numpy and Pillow alone, is what the worker does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.support.edge import load_template
from tests.support.make import Pixels, noise
from tests.support.paths import IMAGES
from tests.support.small_model import SPEC
from worker.edge.description import describe
from worker.images.decode import decode
from worker.images.transform import Transform
from worker.model import CenterCrop, Channels, Interpolation, Normalize, Resize
from worker.model.transforms import ResizeBackend
from worker.settings import DecodeSettings

transform = load_template("transform")

SIZES = [(320, 213), (213, 320), (451, 300), (512, 512), (256, 256), (300, 301), (64, 48), (9, 7)]
"""Halved exactly, scaled down, up and not at all, and sides that round from a half."""

FILTERS: list[tuple[ResizeBackend, Interpolation]] = [
    ("cv2", "nearest"),
    ("cv2", "bilinear"),
    ("pil", "nearest"),
    ("pil", "bilinear"),
    ("pil", "bicubic"),
    ("pil", "area"),
    ("pil", "hamming"),
    ("pil", "lanczos"),
]
ODD = ["broken_animation.png", "truncated.jpg"]
"""Files that are refused, by the worker or by Pillow."""


def described(
    resize: Resize | None,
    crop: CenterCrop,
    normalize: Normalize = SPEC.normalize,
    channels: Channels = "RGB",
) -> dict[str, Any]:
    spec = replace(SPEC, resize=resize, crop=crop, normalize=normalize, channels=channels)
    return describe(spec, 3, None)


def rough(width: int, height: int) -> Pixels:
    """Pixels that have nothing to do with their neighbours."""
    return np.random.default_rng(5).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize(("backend", "name"), FILTERS)
@pytest.mark.parametrize(("short", "size"), [(256, None), (None, (240, 300)), (None, (256, 256))])
def test_each_pixel_is_the_workers(
    backend: ResizeBackend, name: Interpolation, short: int | None, size: tuple[int, int] | None
) -> None:
    resize, crop = Resize(short, size, name, backend), CenterCrop(224, 201)
    told = described(resize, crop)
    for width, height in SIZES:
        rgb = rough(width, height)
        expected = Transform(resize, crop)(np.ascontiguousarray(rgb[:, :, ::-1]))
        found = transform.scale_and_crop(rgb, told["resize"], told["crop"])
        np.testing.assert_array_equal(found, expected, err_msg=f"{width} x {height}")


@pytest.mark.parametrize("channels", ["RGB", "BGR"])
def test_the_tensor_is_normalised_in_the_networks_order(channels: Channels) -> None:
    normalize = Normalize(1 / 255, (0.1, 0.2, 0.3), (0.5, 0.25, 0.125))
    told = described(None, CenterCrop(16, 12), normalize, channels)
    rgb = noise(20, 20)
    tensor = transform.tensor(rgb, told)
    assert (tensor.shape, tensor.dtype) == ((1, 3, 12, 16), np.float32)
    assert tensor.flags.c_contiguous
    crop = Transform(None, CenterCrop(16, 12), channels)(np.ascontiguousarray(rgb[:, :, ::-1]))
    expected = (crop / 255 - normalize.mean) / normalize.std
    np.testing.assert_allclose(tensor[0].transpose(1, 2, 0), expected, atol=1e-5)


def test_an_image_that_is_too_small_to_crop_is_refused() -> None:
    told = described(None, CenterCrop(16, 12))
    with pytest.raises(ValueError, match="the image is 20x8 pixels, smaller than the 16x12"):
        transform.tensor(noise(20, 8), told)


@pytest.mark.parametrize(
    "name", sorted(path.name for path in IMAGES.glob("*.*") if path.name not in [*ODD, "README.md"])
)
def test_files_are_decoded_as_the_worker_does(name: str) -> None:
    path = IMAGES / name
    expected = decode(path.read_bytes(), DecodeSettings())[:, :, ::-1]
    # Inks become colours by another rounding.
    np.testing.assert_allclose(transform.read_image(path), expected, atol=int("cmyk" in name))
