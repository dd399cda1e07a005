"""Preparing: every form of an image, what is wrong with it, and the bytes that it takes."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from worker.contract.jobs import EncodedImage, RawImage
from worker.errors import JobError, Reason
from worker.images.preparation import prepare_image
from worker.images.transform import Transform
from worker.model import CenterCrop, Resize
from worker.settings import DecodeSettings

TRANSFORM = Transform(Resize(48, None), CenterCrop(32, 32))
LIMITS = DecodeSettings()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.png"
    assert cv2.imwrite(str(path), np.full((60, 90, 3), (1, 2, 3), np.uint8))
    return path


def refused(content: object, limits: DecodeSettings = LIMITS) -> JobError:
    with pytest.raises(JobError) as refusal:
        prepare_image(content, TRANSFORM, limits, None)  # type: ignore[arg-type]
    return refusal.value


def test_files_bytes_text_and_pixels_give_the_same(path: Path) -> None:
    data = path.read_bytes()
    pixels = np.full((60, 90, 3), (1, 2, 3), np.uint8)
    text = base64.b64encode(data).decode()
    for image in (path, RawImage(data), EncodedImage(text), pixels):
        prepared = prepare_image(image, TRANSFORM, LIMITS, LIMITS.max_side)
        assert prepared.crop.shape == (32, 32, 3)
        assert prepared.crop[0, 0].tolist() == [3, 2, 1]
        np.testing.assert_array_equal(prepared.picture, pixels)


@pytest.mark.parametrize(("side", "shape"), [(None, None), (45, (30, 45, 3))])
def test_a_picture_is_kept_in_the_size_that_is_wanted(
    path: Path, side: int | None, shape: tuple[int, ...] | None
) -> None:
    for image in (path, np.zeros((60, 90, 3), np.uint8)):
        picture = prepare_image(image, TRANSFORM, LIMITS, side).picture
        assert (None if picture is None else picture.shape) == shape


@pytest.mark.parametrize("form", [Path, lambda path: np.asarray(cv2.imread(str(path)), np.uint8)])
def test_what_is_held_in_the_end_is_what_was_accounted_for(
    path: Path, form: Callable[[Path], Any]
) -> None:
    told: list[int] = []
    image = form(path)
    prepared = prepare_image(image, TRANSFORM, LIMITS, LIMITS.max_side, told.append)
    # A caller's pixels are the caller's to account for: the picture is those very pixels.
    own = prepared.crop.nbytes if isinstance(image, np.ndarray) else prepared.nbytes
    assert sum(told) == own


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.jpg", "there is no such file"),
        ("x" * 5000, "the file cannot be read: File name too long"),
        ("null\0.jpg", "no file can have this name: embedded null byte"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(name: str, message: str) -> None:
    error = refused(Path(name))
    assert (error.reason, error.message) == (Reason.NOT_FOUND, message)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    assert refused(tmp_path / "pipe.jpg").message == "it is no plain file"


def test_no_more_of_a_file_is_read_than_is_accepted() -> None:
    assert refused(Path("/dev/zero"), DecodeSettings(max_bytes=1000)).reason is Reason.TOO_LARGE


def test_what_is_no_image_is_refused() -> None:
    assert refused(RawImage(b"text")).reason is Reason.NOT_AN_IMAGE
    assert refused(EncodedImage("no Base64!")).reason is Reason.BAD_BASE64
