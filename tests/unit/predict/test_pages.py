"""TIFF files come page by page, as in PaddleX; nothing else is read ahead of its turn."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.prepared import no_url, prepared
from worker.contract.jobs import RawImage, UrlImage
from worker.errors import JobError, Reason
from worker.images.prepare import Prepared
from worker.images.transform import Transform
from worker.model import CenterCrop
from worker.predict.inputs import Page, Source
from worker.predict.naming import output_name
from worker.predict.pages import split_pages
from worker.settings import DecodeSettings

GREYS = (10, 120, 230)


def tiff(*greys: int) -> bytes:
    first, *rest = (Image.new("L", (8, 8), grey) for grey in greys)
    buffer = io.BytesIO()
    first.save(buffer, "TIFF", save_all=True, append_images=rest)
    return buffer.getvalue()


LIMITS = DecodeSettings(max_bytes=100_000)


def split(*sources: Source) -> list[Source]:
    return list(split_pages(sources, no_url, LIMITS))


def read(source: Source) -> Prepared | JobError:
    return prepared(source.content, Transform(None, CenterCrop(4, 4)), LIMITS)


def greys(sources: list[Source]) -> list[int]:
    images = [read(source) for source in sources]
    return [int(image.crop[0, 0, 0]) for image in images if isinstance(image, Prepared)]


@pytest.mark.parametrize("name", ["scan.tif", "SCAN.TIFF"])
def test_a_file_is_its_pages(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(tiff(*GREYS))
    found = split(Source(str(path), path))
    assert [source.page for source in found] == [Page(0, 3), Page(1, 3), Page(2, 3)]
    assert {source.input_path for source in found} == {str(path)}
    assert greys(found) == list(GREYS)


def test_bytes_are_their_pages() -> None:
    found = split(Source(None, RawImage(tiff(*GREYS))))
    assert greys(found) == list(GREYS)


def test_a_single_page_has_a_number_but_no_name_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "one.tiff"
    path.write_bytes(tiff(7))
    (source,) = split(Source(str(path), path))
    assert source.page == Page(0, 1)
    assert output_name("a/one.tiff", Page(0, 1)).stem == "one"
    assert output_name("a/scan.tiff", Page(2, 3)).stem == "scan_2"


def test_others_pass_unread(tmp_path: Path) -> None:
    sources = [
        Source("a.jpg", tmp_path / "missing.jpg"),
        Source("http://h/a.png", UrlImage("http://h/a.png")),
        Source("http://[", UrlImage("http://[.tiff")),
        Source(None, np.zeros((2, 2, 3), np.uint8)),
        Source("x", JobError(Reason.NOT_FOUND, "there is none")),
    ]
    assert all(found is given for found, given in zip(split(*sources), sources, strict=True))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, Reason.NOT_FOUND),
        (b"no tiff", Reason.NOT_AN_IMAGE),
        (bytes(100_001), Reason.TOO_LARGE),
    ],
)
def test_a_file_that_cannot_be_used_is_one_error(
    tmp_path: Path, content: bytes | None, reason: Reason
) -> None:
    path = tmp_path / "scan.tiff"
    if content is not None:
        path.write_bytes(content)
    (source,) = split(Source(str(path), path))
    error = read(source)
    assert isinstance(error, JobError)
    assert error.reason is reason


def test_a_file_that_is_cut_off_keeps_its_whole_pages(tmp_path: Path) -> None:
    path = tmp_path / "scan.tiff"
    data = tiff(*GREYS)
    path.write_bytes(data[: len(data) * 2 // 3])
    found = split(Source(str(path), path))
    assert isinstance(read(found[0]), Prepared)
    assert isinstance(read(found[-1]), JobError)


def test_no_file_is_read_before_its_turn(tmp_path: Path) -> None:
    def sources() -> Iterator[Source]:
        for number in range(2):
            path = tmp_path / f"{number}.tiff"
            path.write_bytes(tiff(number))
            yield Source(str(path), path)
        raise AssertionError("read too far")

    found = split_pages(sources(), no_url, LIMITS)
    assert [next(found).input_path for _ in range(2)] == [
        str(tmp_path / "0.tiff"),
        str(tmp_path / "1.tiff"),
    ]
