"""What is wrong with a data set, and what is only worth knowing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from worker.datasets import Dataset, Finding, Item, Kind, Split
from worker.datasets.judging import FileFacts, count_classes, judge

Row = tuple[str, str, "Split | None", str]
"""A name, a label, a split and the content; the content of what is no image begins with `!`."""


def made(rows: Sequence[Row], *labels: str) -> tuple[Dataset, dict[Path, FileFacts]]:
    items = [Item(Path(name), name, label, split) for name, label, split, _ in rows]
    facts = {
        Path(name): FileFacts(content, "it is no image" if content.startswith("!") else None)
        for name, _, _, content in rows
    }
    named = tuple(dict.fromkeys((*(item.label for item in items), *labels)))
    return Dataset("data", "class folders", tuple(items), named), facts


def found(rows: Sequence[Row], *labels: str) -> list[tuple[Kind, str]]:
    return [(each.kind, each.where) for each in judge(*made(rows, *labels))]


def images(label: str, count: int, split: Split | None = None, prefix: str = "") -> list[Row]:
    return [
        (f"{label}/{prefix}{number}", label, split, f"{label}{prefix}{number}")
        for number in range(count)
    ]


def test_nothing() -> None:
    assert found([*images("a", 3), *images("b", 2)]) == []


def test_unreadable_images_and_classes_without_others() -> None:
    rows = [*images("a", 3), ("a/x", "a", None, "!1"), ("b/x", "b", None, "!1")]
    assert found(rows, "c") == [
        (Kind.UNREADABLE, "a/x"),
        (Kind.UNREADABLE, "b/x"),
        (Kind.EMPTY_CLASS, "b"),
        (Kind.EMPTY_CLASS, "c"),
    ]
    a, b, c = count_classes(*made(rows, "c"))
    assert (a.usable, a.unreadable, b.usable, b.unreadable) == (3, 1, 0, 1)
    assert (c.id, c.name, c.usable) == (2, "c", 0)


def test_a_class_of_one_image_and_a_single_class() -> None:
    assert found([*images("a", 2), *images("b", 1)]) == [(Kind.ONE_IMAGE, "b")]
    assert found(images("a", 2)) == [(Kind.ONE_CLASS, "a")]


def test_one_image_under_two_labels() -> None:
    rows = [*images("a", 2), *images("b", 2), ("b/x", "b", None, "a0")]
    assert found(rows) == [(Kind.TWO_LABELS, "a/0")]
    (finding,) = judge(*made(rows))
    assert finding.names == ("a/0", "b/x")
    assert "a/0 (a), b/x (b)" in finding.message
    assert finding.kind.wrong


def test_the_same_image_in_two_splits() -> None:
    rows = [*images("a", 3, "train"), *images("b", 3, "train"), ("a/x", "a", "val", "a0")]
    rows += [("b/y", "b", "val", "b9")]
    assert found(rows) == [(Kind.ACROSS_SPLITS, "a/0")]
    rows[-2] = ("b/x", "b", "val", "a0")
    rows.append(("a/z", "a", "val", "a9"))
    assert found(rows) == [(Kind.TWO_LABELS, "a/0"), (Kind.ACROSS_SPLITS, "a/0")]


def test_the_same_image_twice_in_one_split_is_only_told() -> None:
    rows = [*images("a", 2), *images("b", 2), *(("a/x", "a", None, "a0"),) * 5]
    (finding,) = judge(*made(rows))
    assert (finding.kind, finding.kind.wrong) == (Kind.REPEATED, False)
    assert "6 times" in finding.message
    assert finding.message.endswith("a/x, a/x, a/x and 2 more")


def test_classes_that_are_not_in_every_split() -> None:
    rows = [*images("a", 2, "train"), *images("a", 2, "val", "v"), *images("b", 2, "val")]
    rows += images("c", 2, "train")
    kinds = found(rows)
    assert kinds == [(Kind.NOT_TRAINED, "b"), (Kind.NOT_TESTED, "c")]
    assert [kind.wrong for kind, _ in kinds] == [True, False]
    # What is only to be tested with is whole without anything to train with.
    assert found([*images("a", 2, "test"), *images("b", 2, "test")]) == []


def test_classes_of_very_different_sizes() -> None:
    assert found([*images("a", 2), *images("b", 19)]) == []
    (finding,) = judge(*made([*images("a", 2), *images("b", 20)]))
    assert (finding.kind, finding.where, finding.kind.wrong) == (Kind.UNEVEN, "b", False)


def test_images_that_lie_elsewhere() -> None:
    rows = [*images("a", 2), *images("b", 2), ("/x", "a", None, "x"), ("../y", "b", None, "y")]
    (finding,) = judge(*made(rows))
    assert (finding.kind, finding.kind.wrong) == (Kind.OUTSIDE, False)
    assert finding.names == ("/x", "../y")


def test_what_was_found_before_comes_first() -> None:
    dataset, facts = made([*images("a", 2), *images("b", 1)])
    before = Finding(Kind.BAD_LINE, "train.txt:1", "no")
    told = Dataset("data", "lists", dataset.items, dataset.labels, (before,))
    assert [each.kind for each in judge(told, facts)] == [Kind.BAD_LINE, Kind.ONE_IMAGE]
    assert str(before) == "train.txt:1: no"


def test_classes_that_are_written_almost_alike() -> None:
    rows = [*images("Coffee", 2), *images("C++", 2), *images("coffee", 2), *images("C#", 2)]
    (finding,) = judge(*made(rows))
    assert (finding.kind, finding.where) == (Kind.NEAR_NAMES, "Coffee")
    assert finding.message.startswith("the class is called almost like 'coffee':")
    assert not finding.kind.wrong
