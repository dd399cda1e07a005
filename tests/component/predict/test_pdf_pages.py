"""PDF files come page by page; what is wrong with one, or with a page, costs only that."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest

from tests.support.make_pdf import encrypted, page, pdf
from tests.support.prepared import no_url, prepared
from worker.contract.jobs import RawImage
from worker.errors import JobError, Reason
from worker.images.prepare import Prepared
from worker.images.transform import Transform
from worker.model import CenterCrop
from worker.predict.inputs import Page, Source, find_sources
from worker.predict.naming import output_name
from worker.predict.pages import split_pages
from worker.settings import DecodeSettings

LIMITS = DecodeSettings(max_bytes=10_000, max_pixels=1_000_000)
WIDTHS = (10, 20, 30)
THREE = pdf(*(page(width, 8) for width in WIDTHS))


def split(*given: object) -> list[Source]:
    return list(split_pages(find_sources(given), no_url, LIMITS))


def read(source: Source) -> Prepared | JobError:
    return prepared(source.content, Transform(None, CenterCrop(4, 4)), LIMITS)


def is_open(path: Path) -> bool:
    return str(path) in {file.path for file in psutil.Process().open_files()}


def error_of(source: Source) -> JobError:
    error = read(source)
    assert isinstance(error, JobError)
    return error


@pytest.mark.parametrize("name", ["scan.pdf", "SCAN.PDF", "~scan 100%.pdf"])
def test_a_file_is_its_pages(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(THREE)
    found = split(path)
    assert [source.page for source in found] == [Page(0, 3), Page(1, 3), Page(2, 3)]
    assert {source.input_path for source in found} == {str(path)}
    for source, width in zip(found, WIDTHS, strict=True):
        image = read(source)
        assert isinstance(image, Prepared)
        assert image.picture is not None
        assert image.picture.shape == (16, 2 * width, 3)


def test_results_are_called_by_the_page() -> None:
    assert output_name("a/scan.pdf", Page(0, 3)).stem == "scan_0"
    assert output_name("https://h/scan.pdf?x=1", Page(2, 3)).stem == "scan_2"
    assert output_name("a/scan.pdf", Page(0, 1)).stem == "scan"
    assert output_name("a/scan.pdf", Page(0, 1)).suffix == ".png"


def test_a_name_that_is_not_utf8_is_read(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"\xff.pdf")
    path.write_bytes(THREE)
    assert len(split(path)) == 3


def test_bytes_are_their_pages() -> None:
    found = split(THREE)
    assert [source.page for source in found] == [Page(0, 3), Page(1, 3), Page(2, 3)]
    assert {source.input_path for source in found} == {None}


def test_a_url_is_fetched_once() -> None:
    url, fetched = "https://h/scan.pdf?key=1", []

    def fetch(wanted: str) -> bytes:
        fetched.append(wanted)
        return THREE

    found = list(split_pages(find_sources(url), fetch, LIMITS))
    assert [source.page for source in found] == [Page(0, 3), Page(1, 3), Page(2, 3)]
    assert {source.input_path for source in found} == {url}
    assert fetched == [url]


def test_a_url_that_cannot_be_fetched_is_one_error() -> None:
    def fetch(_: str) -> bytes:
        raise JobError(Reason.NOT_FOUND, "there is none")

    (source,) = split_pages(find_sources("https://h/scan.pdf"), fetch, LIMITS)
    assert isinstance(source.content, JobError)
    assert source.page is None


@pytest.mark.parametrize(
    ("content", "reason", "message"),
    [
        (None, Reason.NOT_FOUND, "there is no such file"),
        (b"a text", Reason.NOT_AN_IMAGE, "the file is no image that is known here"),
        (b"", Reason.NOT_AN_IMAGE, "the file is empty"),
        (encrypted(), Reason.NOT_AN_IMAGE, "the PDF file is encrypted"),
        (THREE[:100], Reason.CORRUPT_IMAGE, "the PDF file is cut off or damaged"),
        (pdf(), Reason.CORRUPT_IMAGE, "the PDF file is cut off or damaged, or it has no pages"),
    ],
    ids=["missing", "text", "empty", "encrypted", "cut off", "no pages"],
)
def test_a_file_that_cannot_be_used_is_one_error(
    tmp_path: Path, content: bytes | None, reason: Reason, message: str
) -> None:
    path = tmp_path / "scan.pdf"
    if content is not None:
        path.write_bytes(content)
    (source,) = split(path)
    error = error_of(source)
    assert error.reason is reason
    assert error.message.startswith(message)
    assert source.page is None
    assert not is_open(path)


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pipe.pdf"
    os.mkfifo(path)
    # Held open at both ends, so that opening it does not wait.
    pipe = os.open(path, os.O_RDWR)
    os.write(pipe, THREE.ljust(2048))
    (source,) = split(path)
    os.close(pipe)
    assert error_of(source).message == "the file cannot be read: File or stream is not seekable."


def test_an_image_that_is_called_a_pdf_is_an_image(tmp_path: Path) -> None:
    path = tmp_path / "photo.pdf"
    written, data = cv2.imencode(".png", np.full((8, 8, 3), 7, np.uint8))
    assert written
    path.write_bytes(data.tobytes())
    (source,) = split(path)
    assert source.page is None
    assert isinstance(read(source), Prepared)


def test_bad_pages_cost_only_themselves(tmp_path: Path) -> None:
    path = tmp_path / "scan.pdf"
    path.write_bytes(pdf(page(), b"null", page(14400, 14400), page()))
    found = split(path, path)
    assert [source.page for source in found] == [Page(index, 4) for index in range(4)] * 2
    assert isinstance(read(found[0]), Prepared)
    assert isinstance(read(found[3]), Prepared)
    assert error_of(found[1]).reason is Reason.CORRUPT_IMAGE
    assert error_of(found[2]).reason is Reason.TOO_MANY_PIXELS


def test_the_limit_on_bytes_is_for_what_is_held_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "scan.pdf"
    large = THREE.replace(b"%PDF-1.7\n", b"%PDF-1.7\n%" + b"x" * LIMITS.max_bytes + b"\n")
    path.write_bytes(large)
    assert len(split(path)) == 3
    (source,) = split(large)
    assert error_of(source).reason is Reason.TOO_LARGE


def test_no_page_is_rendered_before_its_turn(tmp_path: Path) -> None:
    def paths() -> Iterator[Path]:
        path = tmp_path / "scan.pdf"
        path.write_bytes(THREE)
        yield path
        raise AssertionError("read too far")

    found = split_pages(find_sources(paths()), no_url, LIMITS)
    assert [next(found).page for _ in range(3)] == [Page(0, 3), Page(1, 3), Page(2, 3)]


@pytest.mark.parametrize("taken", [1, 3, 4])
def test_the_file_is_closed_when_its_pages_are_let_go_of(tmp_path: Path, taken: int) -> None:
    path = tmp_path / "scan.pdf"
    path.write_bytes(THREE)
    found = split_pages(find_sources([path, b"next"]), no_url, LIMITS)
    last = [next(found) for _ in range(taken)][-1]
    assert is_open(path) is (taken < 4)
    del found
    gc.collect()
    assert not is_open(path)
    if taken < 4:
        assert isinstance(last.content, np.ndarray)
        assert last.content.shape[2] == 3
    else:
        assert last.content == RawImage(b"next")


def test_a_directorys_pdf_files_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "scan.pdf").write_bytes(THREE)
    written, data = cv2.imencode(".png", np.full((8, 8, 3), 7, np.uint8))
    assert written
    (tmp_path / "photo.png").write_bytes(data.tobytes())
    assert [source.input_path for source in split(tmp_path)] == [str(tmp_path / "photo.png")]
    assert len(split(f"{tmp_path}/*.pdf")) == 3
