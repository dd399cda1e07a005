"""From a caller's own array to the pixels that the rest of the package works on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from worker.errors import JobError, Reason

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["as_bgr"]


def as_bgr(array: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Copy an array, since the caller may fill its own with the next frame.

    Args:
        array: `[H, W, 3]` BGR, as OpenCV reads it; `[H, W, 4]` BGRA, whose alpha is dropped;
            `[H, W]` or `[H, W, 1]` grey, which is replicated. All `uint8`.

    Returns:
        `[H, W, 3] uint8` BGR.

    Raises:
        JobError: `NOT_AN_IMAGE`, saying which shape and type would do.
    """
    if array.dtype != np.uint8:
        advice = "pass uint8 from 0 to 255"
        if np.issubdtype(array.dtype, np.floating):
            advice = "pass uint8: (array * 255).round().astype('uint8') if it goes from 0 to 1"
        elif array.dtype == np.uint16:
            advice = "pass uint8: (array >> 8).astype('uint8')"
        raise JobError(Reason.NOT_AN_IMAGE, f"the array has type {array.dtype}; {advice}")
    match array.shape:
        case _ if array.size == 0:
            problem = "the array is empty"
        case (_, _):
            return np.repeat(array[:, :, np.newaxis], 3, axis=2)
        case (_, _, 1):
            return np.repeat(array, 3, axis=2)
        case (_, _, 3 | 4):
            return array[:, :, :3].copy()
        case (3 | 4, _, _):
            problem = "its channels come first: array.transpose(1, 2, 0) puts them last"
        case (_, _, _, _):
            problem = "it is a batch: pass a list of images"
        case _:
            problem = "it is no image"
    raise JobError(
        Reason.NOT_AN_IMAGE,
        f"the array has shape {array.shape}, and {problem}; [H, W, 3] BGR, [H, W, 4] BGRA and "
        "[H, W] grey are understood",
    )
