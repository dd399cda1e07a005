"""Specimens at the decoder: what is refused costs nothing, the rest is decoded."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from tests.support.specimens import SPECIMENS, large_pictures, progressive_scans
from worker.errors import JobError, Reason
from worker.images.decode import decode
from worker.settings import DecodeSettings

LIMITS = DecodeSettings()
REFUSED = {
    "a TIFF with a huge tile": Reason.TOO_MANY_PIXELS,
    "a TIFF with a long strip": Reason.CORRUPT_IMAGE,
    "a PDF of nested forms": Reason.NOT_AN_IMAGE,
    "a PNG with a broken animation": Reason.CORRUPT_IMAGE,
}
SIDE = 1000


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_costs_nothing(name: str) -> None:
    data = SPECIMENS[name]()
    assert len(data) < 400_000
    tracemalloc.start()
    try:
        with pytest.raises(JobError) as caught:
            decode(data, LIMITS)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert caught.value.reason is REFUSED[name]
    assert peak < 2**21


def test_a_jpeg_of_85_scans_is_a_picture() -> None:
    data = progressive_scans(SIDE)
    assert data.count(b"\xff\xda") == 85
    assert (decode(data, LIMITS) == 128).all()


@pytest.mark.parametrize("name", large_pictures(8))
def test_large_pictures_are_pictures(name: str) -> None:
    pixels = decode(large_pictures(SIDE)[name], LIMITS)
    assert pixels.shape == (SIDE, SIDE, 3)
    assert not np.any(pixels)
