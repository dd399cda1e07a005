"""Arrays of callers: every layout that is understood, and what is said about the others."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from worker.errors import JobError, Reason
from worker.images.arrays import as_bgr


def test_bgr_stays_as_it_is_in_memory_of_its_own() -> None:
    frame = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    taken = as_bgr(frame)
    np.testing.assert_array_equal(taken, frame)
    frame[:] = 0
    assert taken.any()


def test_grey_is_replicated() -> None:
    grey = np.arange(6, dtype=np.uint8).reshape(2, 3)
    for array in (grey, grey[:, :, np.newaxis]):
        taken = as_bgr(array)
        assert taken.shape == (2, 3, 3)
        for channel in range(3):
            np.testing.assert_array_equal(taken[:, :, channel], grey)


def test_alpha_is_dropped_without_blending() -> None:
    bgra = np.full((2, 3, 4), (1, 2, 3, 0), np.uint8)
    np.testing.assert_array_equal(as_bgr(bgra), np.full((2, 3, 3), (1, 2, 3), np.uint8))


def test_any_memory_layout_is_taken() -> None:
    frame = np.arange(2 * 4 * 3, dtype=np.uint8).reshape(2, 4, 3)
    for view in (frame[::-1], frame[:, ::-1], frame[..., ::-1], np.asfortranarray(frame)):
        taken = as_bgr(view)
        assert taken.flags.c_contiguous
        np.testing.assert_array_equal(taken, view)


@pytest.mark.parametrize(
    ("array", "advice"),
    [
        (np.zeros((2, 2, 3), np.float32), "float32; pass uint8: (array * 255)"),
        (np.zeros((2, 2, 3), np.uint16), "uint16; pass uint8: (array >> 8)"),
        (np.zeros((2, 2, 3), np.int64), "int64; pass uint8 from 0 to 255"),
        (np.zeros((2, 2), bool), "bool; pass uint8 from 0 to 255"),
        (np.zeros((3, 8, 9), np.uint8), "channels come first"),
        (np.zeros((1, 8, 9, 3), np.uint8), "it is a batch: pass a list"),
        (np.zeros((0, 9, 3), np.uint8), "the array is empty"),
        (np.zeros((8, 9, 2), np.uint8), "it is no image"),
        (np.zeros(8, np.uint8), "it is no image"),
        (np.array(5, np.uint8), "it is no image"),
    ],
)
def test_other_arrays_are_refused_with_the_remedy(array: npt.NDArray[Any], advice: str) -> None:
    with pytest.raises(JobError, match=r"^the array has (type|shape)") as refused:
        as_bgr(array)
    assert advice in refused.value.message
    assert refused.value.reason is Reason.NOT_AN_IMAGE
