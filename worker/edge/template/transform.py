"""From an image file to the network's input, as the model was trained to see images.

numpy and Pillow alone: OpenCV's filters are written out here, equal to OpenCV's in every pixel.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

__all__ = ["read_image", "tensor"]

PILLOW_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "area": Image.Resampling.BOX,
    "box": Image.Resampling.BOX,
    "hamming": Image.Resampling.HAMMING,
    "lanczos": Image.Resampling.LANCZOS,
}

Pixels = npt.NDArray[np.uint8]
Whole = npt.NDArray[np.int32]

WEIGHT_BITS = 11
"""Of OpenCV's weights behind the point."""


def read_image(path: str | Path) -> Pixels:
    """Decode an image: the first frame, upright, without alpha or colour profile.

    Returns:
        `[H, W, 3] uint8` RGB.
    """
    with Image.open(path) as opened:
        image = ImageOps.exif_transpose(opened)
        if image.mode.startswith("I"):
            # 16 bits of grey, of which the upper 8 count.
            grey = np.clip(np.asarray(image).astype(np.int64) >> 8, 0, 255).astype(np.uint8)
            return np.repeat(grey[:, :, np.newaxis], 3, axis=2)
        return np.asarray(image.convert("RGB"))


def tensor(rgb: Pixels, model: dict[str, Any]) -> npt.NDArray[np.float32]:
    """Scale, crop and normalise.

    Args:
        rgb: `[H, W, 3] uint8`.
        model: what model.json says.

    Returns:
        `[1, 3, H, W] float32`.
    """
    crop = scale_and_crop(rgb, model["resize"], model["crop"])
    if model["channels"] == "BGR":
        crop = crop[:, :, ::-1]
    mean, std = (np.array(model[name], np.float32)[:, None, None] for name in ("mean", "std"))
    planes = crop.transpose(2, 0, 1) * (np.float32(model["scale"]) / std) - mean / std
    return np.ascontiguousarray(planes[np.newaxis], np.float32)


def scale_and_crop(
    rgb: Pixels, resize: dict[str, Any] | None, crop: dict[str, int] | None
) -> Pixels:
    """Scale an image and cut out its centre; either may be None."""
    height, width = rgb.shape[:2]
    size = (width, height)
    if resize is not None and resize["short"] is not None:
        scale = resize["short"] / min(height, width)
        size = round(width * scale), round(height * scale)
    elif resize is not None:
        size = tuple(resize["size"])
    left, top, right, bottom = 0, 0, *size
    if crop is not None:
        left, top = (size[0] - crop["width"]) // 2, (size[1] - crop["height"]) // 2
        right, bottom = left + crop["width"], top + crop["height"]
        if left < 0 or top < 0:
            raise ValueError(
                f"the image is {width}x{height} pixels, smaller than the "
                f"{crop['width']}x{crop['height']} that the model needs; send a larger one"
            )
    columns, rows = slice(left, right), slice(top, bottom)
    if size == (width, height):
        return rgb[rows, columns]
    if resize["backend"] == "pil":
        scaled = Image.fromarray(rgb).resize(size, PILLOW_FILTERS[resize["filter"]])
        return np.asarray(scaled)[rows, columns]
    if resize["filter"] == "nearest":
        return rgb[nearest(height, size[1])[rows]][:, nearest(width, size[0])[columns]]
    return bilinear(rgb, size, columns, rows)


def nearest(source: int, target: int) -> npt.NDArray[np.intp]:
    """Which pixel of one side OpenCV's nearest filter takes for each of the scaled side."""
    scale = 1.0 / (target / source)
    return np.minimum(np.floor(np.arange(target) * scale).astype(np.intp), source - 1)


def bilinear(rgb: Pixels, size: tuple[int, int], columns: slice, rows: slice) -> Pixels:
    """OpenCV's bilinear filter (INTER_LINEAR): whole numbers with weights of 11 bits.

    Args:
        rgb: `[H, W, 3] uint8`.
        size: `(width, height)` of the whole scaled image.
        columns: the slice of its columns that is wanted.
        rows: the slice of its rows that is wanted.

    Returns:
        `[rows, columns, 3] uint8`.
    """
    height, width = rgb.shape[:2]
    left, right, left_weight, right_weight = _weights(width, size[0], columns)
    upper, lower, upper_weight, lower_weight = _weights(height, size[1], rows)

    def across(lines: Whole) -> Whole:
        taken = rgb[lines]
        return (
            taken[:, left] * left_weight[:, np.newaxis]
            + taken[:, right] * right_weight[:, np.newaxis]
        )

    def share(lines: Whole, weight: Whole) -> Whole:
        return ((across(lines) >> 4) * weight[:, np.newaxis, np.newaxis]) >> 16

    blended = share(upper, upper_weight) + share(lower, lower_weight)
    return np.clip((blended + 2) >> 2, 0, 255).astype(np.uint8)


def _weights(source: int, target: int, wanted: slice) -> tuple[Whole, Whole, Whole, Whole]:
    """The two pixels of one side that each wanted pixel is blended of, and their weights."""
    scale = 1.0 / (target / source)
    places = ((np.arange(target)[wanted] + 0.5) * scale - 0.5).astype(np.float32)
    first = np.floor(places).astype(np.int32)
    share = places - first.astype(np.float32)
    one = np.float32(2**WEIGHT_BITS)
    weights = (np.rint((np.float32(1) - share) * one), np.rint(share * one))
    last = source - 1
    return (
        np.clip(first, 0, last),
        np.clip(first + 1, 0, last),
        *(weight.astype(np.int32) for weight in weights),
    )
