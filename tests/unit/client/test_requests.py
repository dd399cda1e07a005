"""From what a caller passes to what is sent."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from worker.client.requests import check_several, content_of, content_type, read_image, size_of
from worker.contract.jobs import RawImage, UrlImage
from worker.errors import JobError, Reason


@pytest.mark.parametrize(
    ("image", "content", "size"),
    [
        ("a/cat one.jpg", Path("a/cat one.jpg"), 0),
        (Path("cat.jpg"), Path("cat.jpg"), 0),
        (PurePosixPath("http://h/cat.jpg"), Path("http://h/cat.jpg"), 0),
        ("https://example.org/cat.jpg", UrlImage("https://example.org/cat.jpg"), 0),
        ("HTTP://h", UrlImage("HTTP://h"), 0),
        ("ftp://h/cat.jpg", UrlImage("ftp://h/cat.jpg"), 0),  # the worker says what it fetches
        (b"bytes", RawImage(b"bytes"), 5),
        (bytearray(b"bytes"), RawImage(b"bytes"), 5),
        (memoryview(b"bytes")[1:], RawImage(b"ytes"), 4),
        ({"image": "QUJD"}, {"image": "QUJD"}, 0),
    ],
)
def test_sources(image: Any, content: object, size: int) -> None:
    assert content_of(image) == content
    assert size_of(image) == size


def test_bytes_cannot_be_changed_under_way() -> None:
    mine = bytearray(b"mine")
    content = content_of(mine)
    mine[:] = b"gone"
    assert content == RawImage(b"mine")


@pytest.mark.parametrize("image", [None, 5, ["cat.jpg"], object()])
def test_anything_else_is_refused_with_what_to_pass(image: Any) -> None:
    with pytest.raises(TypeError, match="is no image: pass a path, a URL, the bytes"):
        content_of(image)


@pytest.mark.parametrize("images", ["photos", Path("photos"), b"bytes", {"image": "x"}])
def test_one_image_is_not_several(images: Any) -> None:
    with pytest.raises(TypeError, match="pass a list"):
        check_several(images)


async def test_images_are_read_within_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "cat.jpg"
    path.write_bytes(b"12345")
    assert await read_image(path, 5) == b"12345"
    assert await read_image(RawImage(b"12345"), 5) == b"12345"
    for content, what in ((path, "file"), (RawImage(b"12345"), "image")):
        with pytest.raises(JobError, match=f"the {what} has more than the 4 bytes") as refused:
            await read_image(content, 4)
        assert refused.value.reason is Reason.TOO_LARGE


async def test_what_is_empty_or_missing_says_so(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    os.mkfifo(tmp_path / "pipe.jpg")
    for content, said in (
        (tmp_path / "empty.jpg", "the file is empty"),
        (RawImage(b""), "the image is empty"),
        (tmp_path / "none.jpg", "there is no such file"),
        (tmp_path / "pipe.jpg", "it is no plain file"),
        (tmp_path, "the file cannot be read: Is a directory"),
    ):
        with pytest.raises(JobError, match=said):
            await read_image(content, 9)


def test_types() -> None:
    assert content_type(b"\xff\xd8\xff\xe0") == "image/jpeg"
    assert content_type(b"what is this?") == "image/unknown"
