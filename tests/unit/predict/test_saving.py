"""Many results in one directory: none takes another's place."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from worker.contract.jobs import Category, RawImage
from worker.errors import SettingsError, WorkerError
from worker.predict.inputs import Page, Source
from worker.predict.results import ClassificationResult
from worker.predict.saving import DirectorySaver, FileSaver, make_saver

ONE = [Source("cat.jpg", Path("cat.jpg"))]


def result(input_path: str) -> ClassificationResult:
    return ClassificationResult(
        input_path, np.zeros((300, 300, 3), np.uint8), [Category(1, "cat", 0.5)]
    )


def test_results_of_equal_names_are_numbered(tmp_path: Path) -> None:
    saver = DirectorySaver(tmp_path)
    inputs = ("a/cat.jpg", "b/cat.jpg", "b/Cat.png", "b/cat-2.jpg", "b/dog.jpg")
    for input_path in inputs:
        saver.save(result(input_path))
    saved = {
        path.name: json.loads(path.read_text())["input_path"] for path in tmp_path.glob("*.json")
    }
    assert saved == {
        "cat_res.json": "a/cat.jpg",
        "cat-2_res.json": "b/cat.jpg",
        "Cat-3_res.json": "b/Cat.png",
        "cat-2-2_res.json": "b/cat-2.jpg",
        "dog_res.json": "b/dog.jpg",
    }
    assert {path.name for path in tmp_path.iterdir()} - saved.keys() == {
        "cat_res.jpg",
        "cat-2_res.jpg",
        "Cat-3_res.png",
        "cat-2-2_res.jpg",
        "dog_res.jpg",
    }


def test_another_run_replaces_what_the_last_has_left(tmp_path: Path) -> None:
    for _ in range(2):
        DirectorySaver(tmp_path).save(result("cat.jpg"))
    assert {path.name for path in tmp_path.iterdir()} == {"cat_res.json", "cat_res.jpg"}


def test_what_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WorkerError, match=r"^results cannot be saved: .*: .*file$"):
        DirectorySaver(tmp_path / "file").save(result("cat.jpg"))


def test_one_result_is_saved_as_the_file_that_is_named(tmp_path: Path) -> None:
    for name in ("out.json", "out.JPG", "new/out.webp"):
        saved = make_saver(str(tmp_path / name), ONE).save(result("cat.png"))
        assert saved == [tmp_path / name]
    assert json.loads((tmp_path / "out.json").read_text())["label_names"] == ["cat"]
    assert (tmp_path / "out.JPG").read_bytes().startswith(b"\xff\xd8")
    assert (tmp_path / "new" / "out.webp").read_bytes().startswith(b"RIFF")


@pytest.mark.parametrize(
    "name", ["out", "out.d/", "there.v1", "new/out", "out.json/", "out.jpg/", "there.png"]
)
def test_anything_else_is_a_directory(tmp_path: Path, name: str) -> None:
    (tmp_path / "there.v1").mkdir()
    (tmp_path / "there.png").mkdir()
    target = f"{tmp_path}/{name}"
    assert make_saver(target, ONE * 2).save(result("cat.jpg")) == [
        tmp_path / name / "cat_res.json",
        tmp_path / name / "cat_res.jpg",
    ]


@pytest.mark.parametrize("name", ["out.xyz", "out.gif", "run.2024"])
def test_a_suffix_that_is_not_written_becomes_no_directory(tmp_path: Path, name: str) -> None:
    target = str(tmp_path / name)
    with pytest.raises(SettingsError, match=f"{name}/ with a slash; a file's name ends in one of"):
        make_saver(target, ONE)
    assert not any(tmp_path.iterdir())


def test_one_file_is_not_for_several_inputs(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"out\.jpg is a file for one image, and there are 2"):
        make_saver(str(tmp_path / "out.jpg"), ONE * 2)


def test_one_file_is_not_for_several_pages_at_a_url(tmp_path: Path) -> None:
    url = "https://example.org/scan.pdf"
    taken: list[int] = []

    def pages(count: int) -> Iterator[Source]:
        for index in range(count):
            taken.append(index)
            yield Source(url, RawImage(b""), Page(index, count))

    saver = FileSaver(tmp_path / "out.json")
    with pytest.raises(SettingsError, match=rf"there are 7 pages in {url}: name a directory"):
        saver.check(pages(7))
    assert taken == [0, 1], "no more is rendered than shows that there are several"
    assert saver.check(pages(1)) == [Source(url, RawImage(b""), Page(0, 1))]
    assert saver.check([]) == []


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="file is a file: name a directory"):
        make_saver(str(tmp_path / "file"), ONE * 2)


def test_a_format_that_cannot_hold_the_picture_is_an_error(tmp_path: Path) -> None:
    wide = ClassificationResult(
        "wide.png", np.zeros((1, 20_000, 3), np.uint8), [Category(1, "cat", 0.5)]
    )
    with pytest.raises(WorkerError, match="cannot hold 20000x"):
        make_saver(str(tmp_path / "out.webp"), ONE).save(wide)
