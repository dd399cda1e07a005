"""One image from encoded bytes to what the predictor and the picture need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from worker.images.decode import decode_pixels, inspect
from worker.images.draw import shrink

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import numpy.typing as npt

    from worker.images.limits import Limits
    from worker.images.transform import Transform

__all__ = ["Prepared", "prepare"]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A decoded image on its way to the predictor.

    Attributes:
        crop: `[H, W, 3] uint8`, resized and cropped as the model wants it, its channels in the
            model's order, not yet normalised.
        picture: `[h, w, 3] uint8` BGR, scaled for drawing, or None when no picture was asked for.
    """

    crop: npt.NDArray[np.uint8]
    picture: npt.NDArray[np.uint8] | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of pixels held."""
        return self.crop.nbytes + (self.picture.nbytes if self.picture is not None else 0)


def prepare(
    data: bytes,
    transform: Transform,
    limits: Limits,
    picture_side: int | None,
    account: Callable[[int], object] = lambda _: None,
) -> Prepared:
    """Decode `data`, transform it for the model, and scale a copy for drawing if one is wanted.

    Args:
        data: an encoded image.
        transform: the model's own scaling and cropping.
        limits: what is refused before decoding.
        picture_side: longest side of the picture in pixels; None when no picture is wanted.
        account: called with the bytes that decoding will take before it begins, and with the change
            of the bytes held when it has ended.

    Returns:
        The crop for the model and, if one is wanted, the picture to draw on.

    Raises:
        JobError: the image cannot be used; the message says why.
        MemoryError: the process has no memory left for it; the image is not at fault.
    """
    header = inspect(data, limits)
    account(header.decoded_bytes)
    held = 0
    try:
        bgr = decode_pixels(data, header)
        picture = None if picture_side is None else shrink(bgr, picture_side)
        prepared = Prepared(transform(bgr), picture)
        held = prepared.nbytes
    finally:
        account(held - header.decoded_bytes)
    return prepared
