"""Digests: the same wherever the data lies, and another when labels or bytes change."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from worker.datasets import Dataset, Item, digest
from worker.datasets.contents import digest_of_file, same_contents

Make = Callable[[Mapping[str, str]], Path]


@pytest.fixture
def dataset(make: Make) -> Dataset:
    root = make({"a/1.jpg": "one", "a/2.jpg": "two", "b/3.jpg": "three", "b/4.jpg": "one"})
    names = ("a/1.jpg", "a/2.jpg", "b/3.jpg", "b/4.jpg")
    items = tuple(Item(root / name, name, name[0]) for name in names)
    return Dataset("data", "class folders", items, ("a", "b"))


def test_neither_place_nor_names_nor_order_count(dataset: Dataset, tmp_path: Path) -> None:
    moved = []
    for number, item in enumerate(reversed(dataset.items)):
        path = tmp_path / f"{number}"
        path.write_bytes(item.path.read_bytes())
        moved.append(Item(path, path.name, item.label, "train"))
    assert digest(replace(dataset, source="x", items=tuple(moved))) == digest(dataset)
    assert digest(dataset).startswith("sha256:")


def test_labels_and_contents_count(dataset: Dataset) -> None:
    first, *others = dataset.items
    changed = [
        replace(dataset, labels=("b", "a")),
        replace(dataset, items=(replace(first, label="b"), *others)),
        replace(dataset, items=tuple(others)),
        replace(dataset, items=(first, *dataset.items)),
    ]
    first.path.with_name("5.jpg").write_text("five")
    changed.append(
        replace(dataset, items=(replace(first, path=first.path.with_name("5.jpg")), *others))
    )
    assert len({digest(each) for each in (dataset, *changed)}) == 1 + len(changed)


def test_what_was_read_before_is_not_read_again(dataset: Dataset) -> None:
    contents = {item.path: digest_of_file(item.path) for item in dataset.items}
    expected = digest(dataset)
    for item in dataset.items:
        item.path.unlink()
    assert digest(dataset, contents) == expected
    assert digest(dataset) != expected


def test_what_is_no_file_has_no_digest(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert digest_of_file(tmp_path / "pipe") is None
    assert digest_of_file(tmp_path) is None
    assert digest_of_file(tmp_path / "nowhere") is None
    assert digest_of_file(tmp_path / "a\0b") is None


def test_files_of_the_same_content_are_put_together(dataset: Dataset) -> None:
    missing = Item(Path("/nowhere/at/all"), "x", "a")
    groups = same_contents([*dataset.items, missing, missing])
    assert sorted([item.name for item in group] for group in groups) == [
        ["a/1.jpg", "b/4.jpg"],
        ["a/2.jpg"],
        ["b/3.jpg"],
        ["x"],
        ["x"],
    ]
