"""From decoded pixels to the crop that the model sees: exactly what `inference.yml` says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from worker.errors import JobError, Reason
from worker.images.codecs import Image, cv2
from worker.images.opencv_bilinear import bilinear
from worker.images.pillow_bicubic import Span, bicubic, is_suitable
from worker.model.transforms import check_crop

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from worker.model import CenterCrop, Channels, Interpolation, Resize

__all__ = ["MAX_RESIZED_PIXELS", "Transform"]

MAX_RESIZED_PIXELS = 2**25
"""Most pixels after scaling: a 30000x1 strip, its short side scaled to 256, would take 5.9 GB."""

_CV2: Mapping[Interpolation, int] = {
    "nearest": cv2.INTER_NEAREST,
    "bilinear": cv2.INTER_LINEAR,
    "bicubic": cv2.INTER_CUBIC,
    "area": cv2.INTER_AREA,
    "lanczos": cv2.INTER_LANCZOS4,
}
_PIL: Mapping[Interpolation, Image.Resampling] = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "area": Image.Resampling.BOX,
    "box": Image.Resampling.BOX,
    "hamming": Image.Resampling.HAMMING,
    "lanczos": Image.Resampling.LANCZOS,
}


@dataclass(frozen=True, slots=True)
class Transform:
    """Scales, then crops the centre; either may be absent. Safe to share between threads.

    The arithmetic is that of PaddleX (`inference/models/common/vision/processors.py`): sides
    rounded as Python rounds, the crop's offset rounded down.

    Attributes:
        resize: how to scale, or None.
        crop: what to cut out of the centre, or None.
        channels: their order in what comes out.

    Raises:
        ModelError: the crop is larger than what the resize leaves, so that no image would do.
    """

    resize: Resize | None
    crop: CenterCrop | None
    channels: Channels = "RGB"

    def __post_init__(self) -> None:
        check_crop(self.resize, self.crop)

    def __call__(self, bgr: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """`[H, W, 3] uint8` BGR to `[h, w, 3] uint8`, contiguous and owning its memory.

        Raises:
            JobError: `CORRUPT_IMAGE` when the image is smaller than the crop, `TOO_MANY_PIXELS`
                when it is so elongated that scaling its short side makes a monster.
        """
        scaled = _scaled_and_cropped(bgr, self.resize, self.crop)
        if self.channels == "BGR":
            return scaled.copy()
        # Channels are independent of each other all the way: swapping them last moves a crop's
        # worth of bytes instead of the photograph's.
        return np.asarray(cv2.cvtColor(scaled, cv2.COLOR_BGR2RGB), np.uint8)


def _scaled_and_cropped(
    bgr: npt.NDArray[np.uint8], resize: Resize | None, crop: CenterCrop | None
) -> npt.NDArray[np.uint8]:
    height, width = bgr.shape[:2]
    size = (width, height) if resize is None else _target(width, height, resize)
    if size[0] * size[1] > MAX_RESIZED_PIXELS and size != (width, height):
        raise JobError(
            Reason.TOO_MANY_PIXELS,
            f"the image is {width}x{height} pixels, too elongated: scaled for the model it would "
            f"be {size[0]}x{size[1]}; crop it",
        )
    columns, rows = _centre(size, crop)
    if resize is None or size == (width, height):
        scaled = bgr
    elif resize.backend == "cv2" and resize.interpolation == "bilinear":
        return bilinear(bgr, size, columns, rows)
    elif resize.backend == "cv2":
        scaled = np.asarray(cv2.resize(bgr, size, interpolation=_CV2[resize.interpolation]))
    elif resize.interpolation == "bicubic" and is_suitable((width, height), size):
        return bicubic(bgr, size, columns, rows)
    else:
        scaled = np.asarray(Image.fromarray(bgr).resize(size, _PIL[resize.interpolation]))
    return scaled[slice(*rows), slice(*columns)]


def _target(width: int, height: int, resize: Resize) -> tuple[int, int]:
    """The `(width, height)` to scale to."""
    if resize.short is None:
        return resize.size or (width, height)
    scale = resize.short / min(height, width)
    return round(width * scale), round(height * scale)


def _centre(size: tuple[int, int], crop: CenterCrop | None) -> tuple[Span, Span]:
    """The columns and rows to cut out of an image of this size; all of them without a crop."""
    width, height = size
    if crop is None:
        return (0, width), (0, height)
    left, top = (width - crop.width) // 2, (height - crop.height) // 2
    if left < 0 or top < 0:
        raise JobError(
            Reason.CORRUPT_IMAGE,
            f"the image is {width}x{height} pixels, smaller than the {crop.width}x{crop.height} "
            "that the model needs; send a larger one",
        )
    return (left, left + crop.width), (top, top + crop.height)
