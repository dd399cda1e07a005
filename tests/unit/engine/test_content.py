"""What an image is known by: its bytes, whatever way they came."""

from __future__ import annotations

import base64
import hashlib

import numpy as np
import pytest

from worker.budget import Budget
from worker.contract.jobs import EncodedImage, RawImage
from worker.engine.content import ContentHash, digest_of_crop
from worker.offload import LARGE

DATA = bytes(range(256)) * 3
TEXT = base64.b64encode(DATA).decode()
URL_SAFE = base64.urlsafe_b64encode(DATA).decode().rstrip("=")
LINES = base64.encodebytes(DATA).decode()


@pytest.mark.parametrize(
    "image",
    [
        RawImage(DATA),
        EncodedImage(TEXT),
        EncodedImage(f" {URL_SAFE}\n"),
        EncodedImage(LINES),
        EncodedImage(f"data:image/png;base64,{TEXT}"),
    ],
    ids=["bytes", "text", "url-safe", "lines", "data"],
)
async def test_an_image_is_known_by_its_bytes(image: RawImage | EncodedImage) -> None:
    held = Budget(1, 1).reserve(0)
    assert await ContentHash(10_000).digest(image, held) == hashlib.sha256(DATA).digest()


@pytest.mark.parametrize("text", ["", "n√", "data:image/png,%zz", TEXT * 10])
async def test_text_that_holds_no_image_has_none(text: str) -> None:
    held = Budget(1, 1).reserve(0)
    assert await ContentHash(len(DATA)).digest(EncodedImage(text), held) is None


async def test_a_large_image_is_hashed_beside_the_event_loop_and_accounted_for() -> None:
    budget = Budget(1, 1)
    held = budget.reserve(0)
    told: list[int] = []
    held._add = told.append
    data = bytes(LARGE)
    digest = await ContentHash(2 * LARGE).digest(RawImage(data), held)
    assert digest == hashlib.sha256(data).digest()
    assert told == [LARGE, -LARGE]


def test_a_crop_is_known_by_its_pixels_wherever_they_are() -> None:
    crop = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    assert digest_of_crop(crop) == digest_of_crop(crop.copy())
    assert digest_of_crop(crop[:, ::-1]) == digest_of_crop(crop[:, ::-1].copy())
    assert digest_of_crop(crop) != digest_of_crop(crop[::-1])
