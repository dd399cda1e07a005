"""Which images of a data set are evaluated, and what is said of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from worker.datasets import Dataset, Item, Split
from worker.errors import DatasetError
from worker.evaluation.selection import select
from worker.evaluation.trained import Trained


def dataset(*splits: Split | None) -> Dataset:
    items = tuple(
        Item(Path(f"{number}.jpg"), f"{number}.jpg", "ab"[number % 2], split)
        for number, split in enumerate(splits)
    )
    return Dataset("flowers", "a layout", items, ("a", "b"))


@pytest.mark.parametrize(
    ("splits", "part", "count"),
    [
        (("train", "train", "val", "test"), "test", 1),
        (("train", "val", "val"), "val", 2),
        (("train", "train"), "all", 2),
        ((None, None, None), "all", 3),
    ],
)
def test_the_default_is_what_was_kept_to_test_with(
    splits: tuple[Split | None, ...], part: str, count: int
) -> None:
    found = select(dataset(*splits), None, 0)
    assert (found.part, len(found.dataset.items)) == (part, count)


def test_it_is_said_which_images_were_taken() -> None:
    split = select(dataset("train", "val", "test", "test"), None, 0)
    assert split.why == "the split 'test' is evaluated: 2 of 4 images"
    unsplit = select(dataset(None, None), None, 0)
    assert unsplit.why.startswith("all 2 images are evaluated, as the data are not split;")
    assert "--split test" in unsplit.why
    assert select(dataset(None, None), "all", 0).why == "all 2 images are evaluated"


def test_data_that_are_not_split_are_split_as_training_does() -> None:
    whole = dataset(*[None] * 40)
    parts = {part: select(whole, part, 3) for part in ("train", "val", "test")}
    names = [item.name for each in parts.values() for item in each.dataset.items]
    assert sorted(names) == sorted(item.name for item in whole.items)
    assert parts["test"].why == (
        f"the split 'test' is evaluated: {len(parts['test'].dataset.items)} of 40 images, "
        "split here with seed 3"
    )
    assert select(whole, "test", 3).dataset == parts["test"].dataset
    assert parts["test"].dataset.labels == whole.labels


def test_a_split_that_is_not_there_is_refused() -> None:
    given = dataset("train", "val")
    with pytest.raises(DatasetError, match=r"no images in 'test'; it has train \(1\), val \(1\)"):
        select(given, "test", 0)
    one = replace(given, items=(Item(Path("a.jpg"), "a.jpg", "a"),))
    with pytest.raises(DatasetError, match="has 1 that are not split"):
        select(one, "test", 0)


def test_data_of_the_models_training_are_evaluated_on_what_it_kept() -> None:
    whole, trained = dataset(*[None] * 40), Trained("sha256:00", 3)
    kept = select(whole, "test", 3)
    found = select(whole, None, None, trained)
    assert (found.part, found.dataset) == ("test", kept.dataset)
    assert (
        "that the training of this model on the same data kept to test with (seed 3)" in found.why
    )
    assert select(whole, "test", None, trained).dataset == kept.dataset
    assert select(whole, "all", None, trained).dataset == whole
    # By another seed, pictures to test with would be among those that it was trained on.
    assert select(whole, None, 4, trained).part == "all"


def test_a_training_that_kept_nothing_is_evaluated_whole() -> None:
    assert select(dataset(None, None), None, None, Trained("sha256:00", 0)).part == "all"


def test_images_that_were_trained_with_are_named(tmp_path: Path) -> None:
    rows: list[tuple[str, Split]] = [("0", "train"), ("1", "val"), ("0", "test"), ("1", "val")]
    items = []
    for number, (text, split) in enumerate([*rows, ("2", "test"), ("2", "test")]):
        path = tmp_path / f"{number}.jpg"
        path.write_text(text, "utf-8")
        items.append(Item(path, path.name, "a", split))
    data = Dataset("flowers", "a layout", tuple(items), ("a",))
    assert select(data, None, None).leaked == ("2.jpg",)
    assert select(data, "val", None).leaked == ()
    assert select(data, "all", None).leaked == ()
