"""Whether a model was trained on the data that it is evaluated on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.model_files import CROP, NORMALIZE, RESIZE, document, write
from worker.datasets import Dataset, Item, digest
from worker.evaluation.trained import Trained, training_of, training_on
from worker.model import load_model_spec
from worker.training.outputs import write_result


def dataset_in(directory: Path) -> Dataset:
    directory.mkdir()
    items = []
    for name in ("a", "b"):
        path = directory / f"{name}.jpg"
        path.write_text(name, "utf-8")
        items.append(Item(path, path.name, name))
    return Dataset("photos", "class folders", tuple(items), ("a", "b"))


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return dataset_in(tmp_path / "photos")


@pytest.fixture
def output(tmp_path: Path, dataset: Dataset) -> Path:
    """Of a training on that data set."""
    output = tmp_path / "out"
    (output / "best_model").mkdir(parents=True)
    model = write(output / "best_model" / "inference", document(RESIZE, CROP, NORMALIZE))
    found = {"digest": load_model_spec(model).digest}
    write_result(output, {"model": found, "data": {"digest": digest(dataset), "seed": 7}})
    return output


@pytest.mark.parametrize("below", ["", "best_model", "best_model/inference"])
def test_a_models_training_is_found(output: Path, dataset: Dataset, below: str) -> None:
    assert training_of(str(output / below)) == Trained(digest(dataset), 7)


def test_the_same_data_are_known_wherever_they_lie(
    output: Path, dataset: Dataset, tmp_path: Path
) -> None:
    copied = dataset_in(tmp_path / "copied")
    assert training_on(copied, ["a name", str(output)]) == Trained(digest(dataset), 7)
    (tmp_path / "copied" / "a.jpg").write_text("another", "utf-8")
    assert training_on(copied, [str(output)]) is None
    assert training_on(dataset, ["a name"]) is None


def test_data_that_are_split_say_what_to_test_with(output: Path, dataset: Dataset) -> None:
    split = replace(dataset, items=tuple(replace(item, split="val") for item in dataset.items))
    assert training_on(split, [str(output)]) is None


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"model": {"digest": "sha256:00"}}'])
def test_a_result_of_another_model_or_program_tells_nothing(output: Path, text: str) -> None:
    (output / "train_result.json").write_text(text, "utf-8")
    assert training_of(str(output)) is None
