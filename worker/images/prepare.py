"""One image from encoded bytes to what the predictor and the picture need; runs in a thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker.images.decode import decode
from worker.images.draw import shrink
from worker.jobs import Prepared

if TYPE_CHECKING:
    from worker.images.transform import Transform
    from worker.settings import DecodeSettings

__all__ = ["prepare"]


def prepare(
    data: bytes, transform: Transform, limits: DecodeSettings, picture_side: int | None
) -> Prepared:
    """Decode `data`, transform it for the model, and scale a copy for drawing if one is wanted.

    Args:
        data: an encoded image.
        transform: the model's own scaling and cropping.
        limits: what is refused before decoding.
        picture_side: longest side of the picture in pixels; None when no picture is wanted.

    Raises:
        JobError: the image cannot be used; the message says why.
    """
    bgr = decode(data, limits)
    picture = None if picture_side is None else shrink(bgr, picture_side)
    return Prepared(transform(bgr), picture)
