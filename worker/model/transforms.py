"""The preprocessing that a model asks for: plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from worker.errors import ModelError

__all__ = [
    "CenterCrop",
    "Channels",
    "Interpolation",
    "Normalize",
    "Resize",
    "ResizeBackend",
    "check_crop",
]

Interpolation = Literal["nearest", "bilinear", "bicubic", "area", "box", "hamming", "lanczos"]
"""Filters: `area` is OpenCV's, `box` (the same by another name) and `hamming` are Pillow's."""

ResizeBackend = Literal["cv2", "pil"]

Channels = Literal["RGB", "BGR"]
"""Order of the channels in the network's input."""


@dataclass(frozen=True, slots=True)
class Resize:
    """How to scale an image before the crop.

    Attributes:
        short: length of the shorter side in pixels, keeping the aspect ratio; None when `size` is
            set.
        size: `(width, height)` in pixels, ignoring the aspect ratio; None when `short` is set.
        backend: whose filter to use; Pillow's bicubic and OpenCV's differ.
    """

    short: int | None
    size: tuple[int, int] | None
    interpolation: Interpolation = "bilinear"
    backend: ResizeBackend = "cv2"


@dataclass(frozen=True, slots=True)
class CenterCrop:
    """A centre crop, `width` x `height` pixels."""

    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Normalize:
    """`x * scale`, then minus `mean` and over `std`, in float32.

    `mean` and `std` have a number per channel, in the order of the network's input.
    """

    scale: float = 1 / 255
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)


def check_crop(resize: Resize | None, crop: CenterCrop | None) -> None:
    """Make sure that some image leaves enough to crop.

    Raises:
        ModelError: the crop is larger than what the resize leaves, so that no image would do.
    """
    if resize is None or crop is None:
        return
    width, height = resize.size or (resize.short, resize.short)
    # A square image is what the shorter side leaves at least; a longer side may be cut freely.
    if width is None or height is None or crop.width > width or crop.height > height:
        raise ModelError(
            f"CropImage asks for {crop.width}x{crop.height} pixels, but ResizeImage "
            f"leaves {width}x{height}: correct transform_ops in inference.yml"
        )
