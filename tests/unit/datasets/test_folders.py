"""Class folders, and what else lies in them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from worker.datasets.findings import Finding, Kind
from worker.datasets.folders import read_class_folders, read_split_folders

Make = Callable[[Mapping[str, str]], Path]


def found(findings: list[Finding]) -> dict[str, Kind]:
    return {finding.where: finding.kind for finding in findings}


def test_each_folder_is_a_class(make: Make) -> None:
    root = make({"big dogs/a b.jpg": "", "cats/2.PNG": "", "cats/1.webp": ""})
    contents = read_class_folders(root)
    assert contents.labels == ["big dogs", "cats"]
    assert [(item.name, item.label, item.split) for item in contents.items] == [
        ("big dogs/a b.jpg", "big dogs", None),
        ("cats/1.webp", "cats", None),
        ("cats/2.PNG", "cats", None),
    ]
    assert contents.items[0].path == root / "big dogs" / "a b.jpg"
    assert contents.findings == []


def test_a_folder_without_an_image_is_a_class_too(make: Make) -> None:
    root = make({"cats/1.jpg": ""})
    (root / "dogs").mkdir()
    assert read_class_folders(root).labels == ["cats", "dogs"]


def test_folders_that_are_numbers_are_in_the_order_of_numbers(make: Make) -> None:
    root = make({f"{number}/1.jpg": "" for number in (0, 1, 2, 10)})
    assert read_class_folders(root).labels == ["0", "1", "2", "10"]


def test_what_systems_leave_behind_is_not_mentioned(make: Make) -> None:
    names = (".DS_Store", "Thumbs.db", "desktop.ini", "._1.jpg")
    root = make({"cats/1.jpg": "", ".git/x.jpg": "", **{f"cats/{name}": "" for name in names}})
    (root / "__MACOSX").mkdir()
    contents = read_class_folders(root)
    assert ([item.name for item in contents.items], contents.labels) == (["cats/1.jpg"], ["cats"])
    assert contents.findings == []


def test_other_files_are_named_and_do_no_harm(make: Make) -> None:
    root = make({"cats/1.jpg": "", "cats/readme.txt": "hello", "cats/empty": "", "notes.md": ""})
    contents = read_class_folders(root)
    assert [item.name for item in contents.items] == ["cats/1.jpg"]
    names = ("cats/readme.txt", "cats/empty", "notes.md")
    assert found(contents.findings) == dict.fromkeys(names, Kind.NOT_READ)


def test_an_image_without_a_suffix_is_one(make: Make) -> None:
    root = make({"cats/1": "GIF89a and so on"})
    assert [item.name for item in read_class_folders(root).items] == ["cats/1"]


def test_a_folder_within_a_class_is_wrong_unless_it_is_empty(make: Make) -> None:
    root = make({"cats/1.jpg": "", "cats/more/2.jpg": ""})
    (root / "cats" / "none").mkdir()
    contents = read_class_folders(root)
    assert [item.name for item in contents.items] == ["cats/1.jpg"]
    assert found(contents.findings) == {"cats/more/": Kind.NESTED}


def test_a_link_to_nowhere_is_an_image_that_cannot_be_read_and_a_pipe_is_none(make: Make) -> None:
    root = make({"cats/1.jpg": ""})
    (root / "cats" / "2.jpg").symlink_to("nowhere")
    os.mkfifo(root / "cats" / "3.jpg")
    contents = read_class_folders(root)
    assert [item.name for item in contents.items] == ["cats/1.jpg", "cats/2.jpg"]
    assert found(contents.findings) == {"cats/3.jpg": Kind.NOT_READ}


def test_links_in_a_circle_cost_only_themselves(make: Make) -> None:
    root = make({"cats/1.jpg": "", "train/cats/1.jpg": ""})
    for name in ("cats/2.jpg", "cats/more", "dogs", "val"):
        (root / name).symlink_to(Path(name).name)
    contents = read_class_folders(root)
    assert [item.name for item in contents.items] == ["cats/1.jpg", "cats/2.jpg"]
    assert found(contents.findings)["cats/more"] == Kind.NOT_READ
    assert [item.name for item in read_split_folders(root).items] == ["train/cats/1.jpg"]


def test_what_is_no_plain_file_is_not_said_to_be_called_otherwise(make: Make) -> None:
    root = make({"cats/1.jpg": ""})
    os.mkfifo(root / "cats" / "2.jpg")
    (finding,) = read_class_folders(root).findings
    assert str(finding) == "cats/2.jpg: is not read: it is no plain file"


@pytest.mark.parametrize("val", ["val", "valid", "Validation"])
def test_splits_are_folders_of_class_folders(make: Make, val: str) -> None:
    root = make({"train/cats/1.jpg": "", "train/dogs/1.jpg": "", f"{val}/cats/2.jpg": ""})
    make({"test/owls/3.jpg": "", "other/4.jpg": "", "train/5.jpg": ""})
    contents = read_split_folders(root)
    assert contents.labels == ["cats", "dogs", "owls"]
    assert {item.name: (item.label, item.split) for item in contents.items} == {
        "train/cats/1.jpg": ("cats", "train"),
        "train/dogs/1.jpg": ("dogs", "train"),
        f"{val}/cats/2.jpg": ("cats", "val"),
        "test/owls/3.jpg": ("owls", "test"),
    }
    names = ("other", "train/5.jpg")
    assert found(contents.findings) == dict.fromkeys(names, Kind.NOT_READ)
