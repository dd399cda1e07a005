"""Splits: in proportion, the same each time, and none of the user's is changed."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.datasets import Dataset, Item, Split, split

NOWHERE = Path("/nowhere/at/all")


def dataset(sizes: dict[str, int], given_split: Split | None = None) -> Dataset:
    items = [
        Item(NOWHERE / label / str(number), f"{label}/{number}.jpg", label, given_split)
        for label, size in sizes.items()
        for number in range(size)
    ]
    return Dataset("data", "class folders", tuple(items), tuple(sizes))


def counts(of: Dataset, label: str) -> dict[str, int]:
    return dict(Counter(str(item.split) for item in of.items if item.label == label))


def test_classes_whose_names_are_no_utf_8_are_split_too() -> None:
    assert counts(split(dataset({"\udcff": 20}), seed=1), "\udcff")["train"] == 14


def test_each_class_is_split_in_the_same_proportions() -> None:
    done = split(dataset({"a": 100, "b": 20, "c": 7}), seed=1)
    assert counts(done, "a") == {"train": 70, "val": 15, "test": 15}
    assert counts(done, "b") == {"train": 14, "val": 3, "test": 3}
    assert counts(done, "c") == {"train": 5, "val": 1, "test": 1}
    assert [item.name for item in done.items] == [
        item.name for item in dataset({"a": 100, "b": 20, "c": 7}).items
    ]


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (1, {"train": 1}),
        (2, {"train": 1, "val": 1}),
        (3, {"train": 1, "val": 1, "test": 1}),
        (4, {"train": 2, "val": 1, "test": 1}),
    ],
)
def test_small_classes_have_something_to_train_with_first(
    size: int, expected: dict[str, int]
) -> None:
    assert counts(split(dataset({"a": size}), seed=3), "a") == expected


@given(st.integers(1, 400), st.tuples(*[st.floats(0, 1)] * 3).filter(lambda each: sum(each) > 0.01))
def test_no_image_is_lost_and_no_share_is_far_off(size: int, shares: tuple[float, ...]) -> None:
    fractions: dict[Split, float] = dict(zip(("train", "val", "test"), shares, strict=True))
    found = counts(split(dataset({"a": size}), seed=5, fractions=fractions), "a")
    assert sum(found.values()) == size
    for name, share in fractions.items():
        if share == 0:
            assert name not in found
        assert abs(found.get(name, 0) - share / sum(shares) * size) <= 2


def test_the_seed_decides_and_the_place_does_not() -> None:
    whole = dataset({"a": 30, "b": 30})
    moved = replace(
        whole,
        items=tuple(replace(item, path=Path("/elsewhere") / item.name) for item in whole.items),
    )

    def names(of: Dataset) -> list[tuple[str, Split | None]]:
        return [(item.name, item.split) for item in of.items]

    assert names(split(whole, seed=1)) == names(split(moved, seed=1))
    assert names(split(whole, seed=1)) != names(split(whole, seed=2))


def test_another_class_changes_nothing_in_this_one() -> None:
    alone, together = split(dataset({"a": 30}), seed=1), split(dataset({"a": 30, "b": 9}), seed=1)
    assert alone.items == together.items[:30]


def test_what_is_split_stays_so() -> None:
    whole = dataset({"a": 6})
    names: list[Split] = ["train", "val", "test", "train", "val", "test"]
    items = [replace(item, split=each) for item, each in zip(whole.items, names, strict=True)]
    ready = replace(whole, items=tuple(items))
    assert split(ready, seed=1) is ready
    only_test = dataset({"a": 6}, "test")
    assert split(only_test, seed=1) is only_test


def test_images_that_do_not_say_are_split_and_the_others_are_not() -> None:
    whole = dataset({"a": 20})
    items = (*whole.items[:10], *(replace(item, split="test") for item in whole.items[10:]))
    done = split(replace(whole, items=items), seed=1)
    assert {item.split for item in done.items[10:]} == {"test"}
    assert {item.split for item in done.items[:10]} == {"train", "val", "test"}


def test_what_to_choose_by_is_taken_from_what_to_train_with_if_there_is_none() -> None:
    whole = dataset({"a": 20}, "train")
    *items, last = whole.items
    done = split(replace(whole, items=(*items, replace(last, split="test"))), seed=1)
    assert counts(done, "a") == {"train": 16, "val": 3, "test": 1}
    assert done.items[-1].split == "test"


def test_the_same_file_by_two_names_is_in_one_split(tmp_path: Path) -> None:
    items = []
    for number in range(20):
        for copy in ("x", "y"):
            path = tmp_path / f"{number}{copy}.jpg"
            path.write_text(f"{number:02}")
            items.append(Item(path, path.name, "a"))
    done = split(Dataset("data", "class folders", tuple(items), ("a",)), seed=1)
    assert len({item.split for item in done.items}) == 3
    for first, second in zip(done.items[::2], done.items[1::2], strict=True):
        assert first.split == second.split


@pytest.mark.parametrize("fractions", [{}, {"train": 0.0}, {"train": 1.0, "val": -0.1}])
def test_fractions_that_are_none(fractions: dict[Split, float]) -> None:
    with pytest.raises(ValueError, match="fractions"):
        split(dataset({"a": 3}), seed=1, fractions=fractions)
