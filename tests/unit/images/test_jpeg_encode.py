"""JPEG files whose rows of blocks stand alone."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from tests.support.make import Pixels, noise
from worker.images.jpeg_encode import BLOCK, MAX_SIDE, continue_jpeg, encode_jpeg, join


def decoded(jpeg: bytes) -> Pixels:
    pixels = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None
    return np.asarray(pixels, np.uint8)


@pytest.mark.parametrize("quality", [1, 50, 85, 100])
@pytest.mark.parametrize("size", [(640, 480), (1, 1), (17, 300), (300, 17)])
def test_pixels_are_those_of_a_file_in_one_piece(size: tuple[int, int], quality: int) -> None:
    bgr = noise(*size)
    done, plain = cv2.imencode(".jpg", bgr, (cv2.IMWRITE_JPEG_QUALITY, quality))
    assert done
    assert np.array_equal(decoded(encode_jpeg(bgr, quality)), decoded(plain.tobytes()))


@pytest.mark.parametrize("quality", [1, 85, 100])
@pytest.mark.parametrize("width", [1, 15, 16, 17, 640])
@pytest.mark.parametrize("height", [17, 32, 33, 200, 480])
def test_two_parts_are_the_same_file(width: int, height: int, quality: int) -> None:
    bgr = noise(width, height)
    whole = encode_jpeg(bgr, quality)
    for rows in range(1, -(-height // BLOCK)):
        rest = continue_jpeg(bgr[rows * BLOCK :], quality, rows)
        assert join(encode_jpeg(bgr[: rows * BLOCK], quality), rest) == whole


@pytest.mark.parametrize("shape", [(1, MAX_SIDE + 1, 3), (MAX_SIDE + 1, 1, 3)])
def test_what_no_jpeg_can_hold_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"a JPEG file cannot hold .* use \.png"):
        encode_jpeg(np.zeros(shape, np.uint8), 85)
    assert encode_jpeg(np.zeros((1, MAX_SIDE, 3), np.uint8), 85)


def test_an_encoder_without_memory_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = np.empty(0, np.uint8)
    monkeypatch.setattr(cv2, "imencode", lambda *_: (False, nothing))
    with pytest.raises(MemoryError):
        encode_jpeg(noise(16, 16), 85)
