"""From an image in any form to what the predictor and the picture need; runs in a thread."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from worker.contract.jobs import EncodedImage, ImageSource, RawImage
from worker.images.base64 import decode_image_text
from worker.images.draw import shrink
from worker.images.local_files import read_file
from worker.images.prepare import Prepared, prepare
from worker.images.transform import Transform
from worker.settings import DecodeSettings

__all__ = ["AnyImage", "LocalImage", "Pixels", "prepare_image"]

Pixels = npt.NDArray[np.uint8]
"""`[H, W, 3] uint8` BGR, which no other code writes into."""

LocalImage: TypeAlias = EncodedImage | RawImage | Path | Pixels
"""An image that need not be fetched. Paths and pixels come from callers in Python alone."""

AnyImage: TypeAlias = ImageSource | Path | Pixels
"""An image in any form that the engine takes."""


def prepare_image(
    image: LocalImage,
    transform: Transform,
    limits: DecodeSettings,
    picture_side: int | None,
    account: Callable[[int], object] = lambda _: None,
) -> Prepared:
    """Read an image, transform it for the model, and keep a copy for the picture if one is wanted.

    Args:
        image: a file, encoded bytes or text, or pixels, which are not copied.
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
    match image:
        case Path():
            data = read_file(image, limits.max_bytes)
        case EncodedImage(text):
            data = decode_image_text(text, limits.max_bytes)
        case RawImage(data):
            pass
        case bgr:
            picture = None if picture_side is None else shrink(bgr, picture_side)
            prepared = Prepared(transform(bgr), picture)
            account(prepared.crop.nbytes)
            return prepared
    return prepare(data, transform, limits, picture_side, account)
