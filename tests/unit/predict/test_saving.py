"""Many results in one directory: none takes another's place."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from worker.contract.jobs import Category
from worker.errors import WorkerError
from worker.predict.results import ClassificationResult
from worker.predict.saving import Saver


def result(input_path: str) -> ClassificationResult:
    return ClassificationResult(
        input_path, np.zeros((300, 300, 3), np.uint8), [Category(1, "cat", 0.5)]
    )


def test_results_of_equal_names_are_numbered(tmp_path: Path) -> None:
    saver = Saver(tmp_path)
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
        Saver(tmp_path).save(result("cat.jpg"))
    assert {path.name for path in tmp_path.iterdir()} == {"cat_res.json", "cat_res.jpg"}


def test_what_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WorkerError, match=r"^results cannot be saved: .*: .*file$"):
        Saver(tmp_path / "file").save(result("cat.jpg"))
