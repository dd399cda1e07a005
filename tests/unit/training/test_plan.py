"""Which images a training is of, and in which order."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker.datasets import Dataset, Item, Split
from worker.errors import DatasetError
from worker.training.plan import SPLIT_IDS, Plan, Skipped, check_usable, make_plan


def dataset(*items: tuple[str, Split | None], labels: tuple[str, ...] = ("cat", "dog")) -> Dataset:
    made = [
        Item(Path(f"missing {number}"), f"{number} of a {label}.png", label, split)
        for number, (label, split) in enumerate(items)
    ]
    return Dataset("pets", "class folders", tuple(made), labels)


def skipped(row: int) -> Skipped:
    return Skipped(row, "a name", "not_an_image", "it is none")


SPLIT = dataset(
    ("cat", "train"), ("dog", "train"), ("cat", "test"), ("dog", "val"), ("cat", "train")
)


def test_images_to_choose_by_come_first_then_those_to_train_with_and_to_test_with() -> None:
    plan = make_plan(SPLIT, "sha256:00", seed=0)
    assert [item.split for item in plan.items] == ["val", "train", "train", "train", "test"]
    assert plan.targets.tolist() == [1, 0, 1, 0, 0]
    assert plan.splits.tolist() == [SPLIT_IDS[item.split] for item in plan.items if item.split]
    assert plan.counts() == {"train": 3, "val": 1, "test": 1}
    assert plan.counts([skipped(0), skipped(4)]) == {"train": 3, "val": 0, "test": 0}


def test_what_is_not_split_is_split_by_the_seed() -> None:
    unsplit = dataset(*[("cat", None), ("dog", None)] * 20)
    first, same, other = (make_plan(unsplit, "", seed) for seed in (1, 1, 2))
    assert first == same
    assert first.items != other.items
    assert all(first.counts().values())


def test_the_fingerprint_knows_what_rows_depend_on() -> None:
    plan = make_plan(SPLIT, "sha256:00", seed=0)
    reordered = Plan(plan.labels, plan.items[::-1], plan.digest)
    renamed = Plan(("cat", "hound"), plan.items, plan.digest)
    changed = Plan(plan.labels, plan.items, "sha256:11")
    prints = {each.fingerprint for each in (plan, reordered, renamed, changed)}
    assert len(prints) == 4
    assert make_plan(SPLIT, "sha256:00", seed=5).fingerprint == plan.fingerprint


def test_one_class_is_none_to_tell_apart() -> None:
    with pytest.raises(DatasetError, match="pets has one class, 'cat'"):
        make_plan(dataset(("cat", "train"), labels=("cat",)), "", 0)


def test_a_class_without_an_image_to_train_with_is_named() -> None:
    with pytest.raises(DatasetError, match="no image to train with: 'dog'"):
        make_plan(dataset(("cat", "train"), ("dog", "test"), ("cat", "val")), "", 0)


def test_a_class_whose_images_cannot_be_read_is_named() -> None:
    plan = make_plan(SPLIT, "", 0)
    check_usable(plan, [skipped(1)])
    with pytest.raises(DatasetError, match="no image that can be read to train with: 'dog'"):
        check_usable(plan, [skipped(2)])


def test_many_classes_are_counted() -> None:
    labels = tuple(f"class {number}" for number in range(9))
    with pytest.raises(DatasetError, match=r"'class 1', 'class 2', 'class 3' and 5 more"):
        make_plan(dataset(("class 0", "train"), ("class 0", "val"), labels=labels), "", 0)
