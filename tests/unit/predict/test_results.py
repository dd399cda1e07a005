"""Results: their keys, what they print, and the files they save, as PaddleX's do."""

from __future__ import annotations

import copy
import json
import os
import pickle  # noqa: TID251 - of our own making
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from worker.contract.jobs import Category
from worker.errors import JobError, Reason
from worker.predict.inputs import Page
from worker.predict.results import ClassificationResult, FailedInput

CATEGORIES = (Category(285, "Egyptian cat", 0.93123), Category(281, "Tigerkätzchen", 0.05))


@pytest.fixture
def result() -> ClassificationResult:
    return make_result("photos/cat.jpg")


def make_result(input_path: str | None, width: int = 400) -> ClassificationResult:
    bgr = np.full((300, width, 3), (250, 100, 20), np.uint8)
    return ClassificationResult(input_path, bgr, CATEGORIES)


def test_keys_and_types_are_the_references(result: ClassificationResult) -> None:
    assert list(result) == [
        "input_path",
        "page_index",
        "input_img",
        "class_ids",
        "scores",
        "label_names",
    ]
    assert result["class_ids"].dtype == np.int32
    assert result["scores"].dtype == np.float32
    assert result["class_ids"].tolist() == [285, 281]
    assert result["label_names"] == ["Egyptian cat", "Tigerkätzchen"]
    assert result["input_img"][0, 0].tolist() == [20, 100, 250]  # RGB


def test_no_category_is_an_answer_too(tmp_path: Path) -> None:
    bgr = np.full((30, 40, 3), (250, 100, 20), np.uint8)
    result = ClassificationResult("black.png", bgr, ())
    plain = result.json["res"]
    assert (plain["class_ids"], plain["scores"], plain["label_names"]) == ([], [], [])
    assert result["class_ids"].dtype == np.int32
    result.save_all(tmp_path)
    with Image.open(tmp_path / "black_res.png") as saved:
        assert saved.getcolors() == [(30 * 40, (20, 100, 250))]


def test_it_prints_a_dict_without_the_image(
    result: ClassificationResult, capsys: pytest.CaptureFixture[str]
) -> None:
    result.print()
    assert capsys.readouterr().out == (
        "{'res': {'input_path': 'photos/cat.jpg', 'page_index': None, "
        "'class_ids': array([285, 281], dtype=int32), "
        "'scores': array([0.93123, 0.05   ], dtype=float32), "
        "'label_names': ['Egyptian cat', 'Tigerkätzchen']}}\n"
    )


def test_it_prints_json(result: ClassificationResult, capsys: pytest.CaptureFixture[str]) -> None:
    result.print(json_format=True)
    shown = capsys.readouterr().out
    assert json.loads(shown) == result.json
    assert shown.startswith('{\n    "res": {\n        "input_path"')
    assert "Tigerkätzchen" in shown
    result.print(json_format=True, indent=0, ensure_ascii=True)
    assert "Tigerk\\u00e4tzchen" in capsys.readouterr().out


def test_it_prints_json_as_the_documentation_of_paddlex_asks_for_it(
    result: ClassificationResult, capsys: pytest.CaptureFixture[str]
) -> None:
    result.print(format_json=True)
    shown = capsys.readouterr().out
    assert json.loads(shown) == result.json
    result.print(json_format=True, format_json=False)
    assert capsys.readouterr().out == f"{result}\n"


def test_it_is_a_dict_of_plain_types(result: ClassificationResult) -> None:
    plain = result.to_dict()
    assert plain == result.json["res"]
    assert {type(value) for value in (*plain["class_ids"], *plain["scores"])} == {int, float}
    plain["label_names"].clear()
    assert result["label_names"] == ["Egyptian cat", "Tigerkätzchen"]


def test_the_best_category(result: ClassificationResult) -> None:
    assert result.top1 == Category(285, "Egyptian cat", 0.93123)
    assert ClassificationResult("a.png", np.zeros((2, 2, 3), np.uint8), ()).top1 is None


def test_its_repr_is_one_short_line(result: ClassificationResult) -> None:
    assert repr(result) == "<ClassificationResult 'photos/cat.jpg': 'Egyptian cat' 0.93123>"
    page = ClassificationResult("scan.pdf", np.zeros((2, 2, 3), np.uint8), (), Page(1, 3))
    assert repr(page) == "<ClassificationResult 'scan.pdf' page 1: no category>"
    assert repr(make_result(None)).startswith("<ClassificationResult 'image': ")


def test_json_has_plain_types_and_five_digits(result: ClassificationResult) -> None:
    assert result.json == {
        "res": {
            "input_path": "photos/cat.jpg",
            "page_index": None,
            "class_ids": [285, 281],
            "scores": [0.93123, 0.05],
            "label_names": ["Egyptian cat", "Tigerkätzchen"],
        }
    }


def test_json_is_saved_under_the_inputs_name(result: ClassificationResult, tmp_path: Path) -> None:
    saved = result.save_to_json(str(tmp_path / "new" / "directory"))
    assert saved == tmp_path / "new" / "directory" / "cat_res.json"
    text = saved.read_text("utf-8")
    assert json.loads(text) == result.json["res"]
    assert text.startswith('{\n    "input_path": "photos/cat.jpg",\n    "page_index": null,')
    assert "Tigerkätzchen" in text


def test_json_is_saved_as_the_file_that_is_named(
    result: ClassificationResult, tmp_path: Path
) -> None:
    assert result.save_to_json(tmp_path / "mine.json", indent=0) == tmp_path / "mine.json"
    assert json.loads((tmp_path / "mine.json").read_text("utf-8")) == result.json["res"]


@pytest.mark.parametrize(
    ("input_path", "name", "format_"),
    [
        ("a/cat.jpg", "cat_res.jpg", "JPEG"),
        ("cat.JPEG", "cat_res.JPEG", "JPEG"),
        ("cat.png", "cat_res.png", "PNG"),
        ("cat.bmp", "cat_res.bmp", "BMP"),
        ("cat.webp", "cat_res.webp", "WEBP"),
        ("cat.tiff", "cat_res.tiff", "TIFF"),
        ("cat.gif", "cat_res.png", "PNG"),
        ("https://example.com/x/cat.jpg?token=1", "cat_res.jpg", "JPEG"),
    ],
)
def test_the_picture_keeps_the_inputs_format_and_size(
    tmp_path: Path, input_path: str, name: str, format_: str
) -> None:
    saved = make_result(input_path).save_to_img(tmp_path)
    assert saved == tmp_path / name
    with Image.open(saved) as picture:
        assert (picture.format, picture.size) == (format_, (400, 300))


@pytest.mark.parametrize(("width", "height"), [(1, 1), (32, 32), (60, 40), (2000, 20), (20, 900)])
def test_a_picture_of_any_size_keeps_it(tmp_path: Path, width: int, height: int) -> None:
    bgr = np.full((height, width, 3), (250, 100, 20), np.uint8)
    result = ClassificationResult("odd.png", bgr, CATEGORIES)
    with Image.open(result.save_to_img(tmp_path)) as saved:
        assert saved.size == (width, height)
    assert result.img["res"].size == (width, height)


def test_the_picture_shows_the_label_on_a_red_box(
    result: ClassificationResult, tmp_path: Path
) -> None:
    saved = cv2.imread(str(result.save_to_img(tmp_path / "mine.png")))
    assert saved is not None
    assert saved[4, 4].tolist() == [0, 0, 255]
    assert saved[-1, -1].tolist() == [250, 100, 20]
    picture = result.img["res"]
    assert picture.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(picture)[..., ::-1], saved)


def test_a_picture_too_large_for_its_format_becomes_png(tmp_path: Path) -> None:
    huge = make_result("https://example.com/wide.webp", width=17_000)
    assert huge.save_to_img(tmp_path) == tmp_path / "wide_res.png"
    with pytest.raises(ValueError, match=r"\.webp file cannot hold 17000x\d+ pixels: use \.png"):
        huge.save_to_img(tmp_path / "mine.webp")


def test_an_arrays_files_belong_together(tmp_path: Path) -> None:
    first, second = make_result(None), make_result(None)
    first.save_all(tmp_path)
    second.save_all(tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert len(names) == 4
    assert {name.rpartition(".")[0] for name in names} == {
        f"{first.output_name.stem}_res",
        f"{second.output_name.stem}_res",
    }
    assert first.json["res"]["input_path"] is None


def test_a_name_that_is_not_utf8_is_saved_as_json(tmp_path: Path) -> None:
    path = os.fsdecode(b"k\xe4tzchen.jpg")
    saved = make_result(path).save_to_json(tmp_path / "mine.json")
    assert json.loads(saved.read_text("utf-8"))["input_path"] == path


def test_results_can_be_copied_and_sent_to_other_processes(
    result: ClassificationResult, tmp_path: Path
) -> None:
    for twin in (copy.copy(result), copy.deepcopy(result), pickle.loads(pickle.dumps(result))):  # noqa: S301 - our own
        assert isinstance(twin, ClassificationResult)
        assert twin.json == result.json
        assert twin.save_to_json(tmp_path).name == "cat_res.json"


def test_a_failure_says_which_input_and_why() -> None:
    failed = FailedInput("a.jpg", JobError(Reason.NOT_FOUND, "there is no such file"))
    assert failed.json == {
        "res": {
            "input_path": "a.jpg",
            "error": {"reason": "not_found", "message": "there is no such file"},
        }
    }
