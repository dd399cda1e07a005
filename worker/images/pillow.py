"""From a caller's own Pillow image to pixels."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TypeAlias, TypeGuard

import numpy as np

from worker.errors import JobError, Reason

if TYPE_CHECKING:
    import numpy.typing as npt
    from PIL.Image import Image

__all__ = ["PillowImage", "from_pillow", "is_pillow_image"]

PillowImage: TypeAlias = "Image"

_SIXTEEN_BITS = frozenset({"I;16", "I;16L", "I;16B", "I;16N"})
_WIDE = frozenset({"I", "F"})
"""Modes whose values have no known range."""


def is_pillow_image(given: object) -> TypeGuard[Image]:
    """Look whether an object is a Pillow image, without loading Pillow.

    Returns:
        Whether it is one.
    """
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(given, module.Image)


def from_pillow(image: Image) -> npt.NDArray[np.uint8]:
    """Read the pixels of a Pillow image; its file is read now, if not before.

    As with files, grey is replicated, alpha dropped, 16 bits are shifted right by 8, and the EXIF
    orientation is applied.

    Returns:
        `[H, W, 3] uint8` BGR, upright.

    Raises:
        JobError: `NOT_AN_IMAGE` for a mode without a known range, `CORRUPT_IMAGE` when the image's
            file is cut off, damaged or closed.
    """
    from PIL import ImageOps  # noqa: PLC0415 - there is an image, so Pillow is loaded

    if image.mode in _WIDE:
        raise JobError(
            Reason.NOT_AN_IMAGE,
            f"the Pillow image has mode {image.mode}: scale its values to 0 to 255, and convert it "
            "with image.convert('L')",
        )
    try:
        upright = ImageOps.exif_transpose(image)
        if upright.mode in _SIXTEEN_BITS:
            grey = (np.asarray(upright) >> 8).astype(np.uint8)
            return np.repeat(grey[:, :, np.newaxis], 3, axis=2)
        rgb = np.asarray(upright.convert("RGB"))
    except MemoryError:
        raise
    except Exception as error:  # its readers raise all kinds, AssertionError for a closed file
        why = str(error) or type(error).__name__
        raise JobError(Reason.CORRUPT_IMAGE, f"the Pillow image cannot be read: {why}") from error
    return np.ascontiguousarray(rgb[:, :, ::-1])
