"""From an image in any form to what the predictor and the picture need."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from worker.contract.jobs import EncodedImage, RawImage
from worker.images.base64 import decode_image_text
from worker.images.draw import shrink
from worker.images.limits import Limits
from worker.images.local_files import read_file
from worker.images.prepare import Prepared, prepare
from worker.images.transform import Transform
from worker.imaging.protocol import LocalImage

__all__ = ["prepare_image"]


def prepare_image(
    image: LocalImage,
    transform: Transform,
    limits: Limits,
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
