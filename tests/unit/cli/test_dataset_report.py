"""The report on a data set, for people and for programs."""

from __future__ import annotations

import io
import json
from pathlib import Path

from rich.console import Console

from worker.cli.dataset_report import MOST_SHOWN, as_plain, print_report
from worker.datasets import Dataset, Finding, Item, Kind
from worker.datasets.check import Checked
from worker.datasets.judging import ClassCount

CLASSES = [
    ClassCount(0, "big dogs", 3, 0, {"train": 2, "val": 1}),
    ClassCount(1, "a\x1b[31mcat", 1, 1, {"train": 1}),
]
WRONG = Finding(Kind.UNREADABLE, "cats/\udcff.jpg", "it is no image")
TOLD = Finding(Kind.REPEATED, "dogs/1.jpg", "is there 2 times", ("dogs/1.jpg", "dogs/2.jpg"))


def checked(*findings: Finding, split: bool = True) -> Checked:
    items = [Item(Path("x"), str(number), "big dogs", None) for number in range(5)]
    if split:
        items[0] = Item(Path("x"), "0", "big dogs", "train")
    dataset = Dataset("data/", "class folders", tuple(items), ("big dogs", "a\x1b[31mcat"))
    return Checked(dataset, "sha256:1234", list(CLASSES), list(findings))


def shown(report: Checked, *, terminal: bool = False, width: int = 80) -> str:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=width, color_system=None)
    print_report(report, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_classes_and_counts_in_a_table() -> None:
    lines = shown(checked()).splitlines()
    assert lines[:2] == ["data/: class folders", "sha256:1234"]
    assert lines[3].split() == ["Id", "Class", "Images", "train", "val", "test", "Unreadable"]
    assert lines[5].split() == ["0", "big", "dogs", "3", "2", "1", "0", "0"]
    assert lines[6].split() == ["1", "a\N{REPLACEMENT CHARACTER}[31mcat", *"11001"]
    assert lines[-1] == "4 of 5 images can be used; nothing has to be corrected"


def test_what_does_not_apply_has_no_column() -> None:
    report = checked(split=False)
    report.classes[:] = [ClassCount(0, "big dogs", 3, 0, {})]
    assert shown(report).splitlines()[3].split() == ["Id", "Class", "Images"]


def test_a_data_set_of_which_no_class_is_known() -> None:
    dataset = Dataset("data/", "PaddleX's lists", (), (), (WRONG,))
    text = shown(Checked(dataset, "sha256:1234", [], [WRONG]))
    assert "Id  Class  Images" in text
    assert text.endswith("0 of 0 images can be used; to be corrected: 1\n")


def test_what_is_wrong_is_apart_from_what_is_worth_knowing() -> None:
    text = shown(checked(TOLD, WRONG))
    assert "To be corrected:\n  cats/\N{REPLACEMENT CHARACTER}.jpg: it is no image\n" in text
    assert "Worth knowing:\n  dogs/1.jpg: is there 2 times\n" in text
    assert text.index("corrected:") < text.index("Worth")
    assert text.endswith("4 of 5 images can be used; to be corrected: 1\n")


def test_of_each_kind_some_are_shown() -> None:
    many = [Finding(Kind.UNREADABLE, f"{number}.jpg", "no") for number in range(MOST_SHOWN + 7)]
    text = shown(checked(*many, TOLD))
    assert text.count(".jpg: no") == MOST_SHOWN
    assert "and 7 more like these: --format json has all" in text
    assert "is there 2 times" in text


def test_a_terminal_breaks_no_name() -> None:
    long = Finding(Kind.UNREADABLE, "a/" * 40 + "b.jpg", "it is no image " * 6)
    lines = shown(checked(long), terminal=True, width=60).splitlines()
    assert any("a/" * 40 + "b.jpg:" in line for line in lines)
    assert max(len(line) for line in lines if "a/a" not in line) <= 60


def test_json_has_all_of_it() -> None:
    report = json.loads(json.dumps(as_plain(checked(WRONG, TOLD))))
    assert report == {
        "usable": False,
        "data": "data/",
        "layout": "class folders",
        "digest": "sha256:1234",
        "images": 5,
        "unreadable": 1,
        "classes": [
            {"id": 0, "name": "big dogs", "images": 3, "unreadable": 0}
            | {"train": 2, "val": 1, "test": 0},
            {"id": 1, "name": "a\x1b[31mcat", "images": 1, "unreadable": 1}
            | {"train": 1, "val": 0, "test": 0},
        ],
        "findings": [
            {
                "kind": "unreadable",
                "wrong": True,
                "where": "cats/\udcff.jpg",
                "message": "it is no image",
            },
            {
                "kind": "repeated",
                "wrong": False,
                "where": "dogs/1.jpg",
                "message": "is there 2 times",
                "images": ["dogs/1.jpg", "dogs/2.jpg"],
            },
        ],
    }
    assert as_plain(checked(TOLD))["usable"] is True
