"""What is wrong with a data set, judged by what its files turned out to hold. No I/O."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from worker.datasets.dataset import SPLITS, Dataset, Item
from worker.datasets.findings import Finding, Kind
from worker.datasets.labels import plain_form
from worker.datasets.reading import leads_out
from worker.wording import first_few

__all__ = ["ClassCount", "FileFacts", "count_classes", "judge"]

UNEVEN = 10
"""How many times the images of the smallest class the largest one may have before it is told."""

MOST_NAMED = 3
"""Images that a message names."""


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What one file turned out to hold.

    Attributes:
        content: the SHA-256 of its bytes, 64 hexadecimal digits; None if they cannot be read.
        problem: why it cannot be used as an image; None if it can.
    """

    content: str | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class ClassCount:
    """One class and its images.

    Attributes:
        id: from 0 up.
        usable: images that were decoded.
        unreadable: those that could not be.
        splits: usable images by what they are for; without those that do not say.
    """

    id: int
    name: str
    usable: int
    unreadable: int
    splits: Mapping[str, int]


def count_classes(dataset: Dataset, facts: Mapping[Path, FileFacts]) -> list[ClassCount]:
    """Count the images of each class.

    Returns:
        The classes in the order of their ids.
    """
    usable: Counter[str] = Counter()
    unreadable: Counter[str] = Counter()
    splits: dict[str, Counter[str]] = defaultdict(Counter)
    for item in dataset.items:
        if facts[item.path].problem is not None:
            unreadable[item.label] += 1
            continue
        usable[item.label] += 1
        if item.split is not None:
            splits[item.label][item.split] += 1
    return [
        ClassCount(number, name, usable[name], unreadable[name], splits[name])
        for number, name in enumerate(dataset.labels)
    ]


def judge(dataset: Dataset, facts: Mapping[Path, FileFacts]) -> list[Finding]:
    """Find what is wrong with a data set, and what is worth knowing.

    Args:
        facts: of each item's file.

    Returns:
        Those of the layout first, then those of images, then those of classes.
    """
    classes = count_classes(dataset, facts)
    return [
        *dataset.findings,
        *_unreadable(dataset.items, facts),
        *_same_files(dataset.items, facts),
        *_outside(dataset.items),
        *_of_classes(classes),
        *_of_splits(classes),
        *_near_names(dataset.labels),
    ]


def _unreadable(items: Sequence[Item], facts: Mapping[Path, FileFacts]) -> Iterator[Finding]:
    for item in items:
        if (problem := facts[item.path].problem) is not None:
            yield Finding(Kind.UNREADABLE, item.name, problem)


def _same_files(items: Sequence[Item], facts: Mapping[Path, FileFacts]) -> Iterator[Finding]:
    groups: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        # What is no image, such as an empty file, is told once, as that.
        if (content := facts[item.path].content) and facts[item.path].problem is None:
            groups[content].append(item)
    for group in groups.values():
        if len(group) > 1:
            yield from _of_group(group)


def _of_group(group: Sequence[Item]) -> Iterator[Finding]:
    first, names = group[0], tuple(item.name for item in group)
    labels = list(dict.fromkeys(item.label for item in group))
    splits = [each for each in SPLITS if any(item.split == each for item in group)]
    if len(labels) > 1:
        owners = ", ".join(f"{item.name} ({item.label})" for item in group[:MOST_NAMED])
        message = f"one image has {len(labels)} labels: {owners}{_more(group)}; keep the right one"
        yield Finding(Kind.TWO_LABELS, first.name, message, names)
    if len(splits) > 1:
        owners = ", ".join(f"{item.name} ({item.split})" for item in group[:MOST_NAMED])
        message = (
            f"the same image is in {' and '.join(splits)}: {owners}{_more(group)}; what was "
            "trained with tests nothing: keep one"
        )
        yield Finding(Kind.ACROSS_SPLITS, first.name, message, names)
    if len(labels) == 1 and len(splits) <= 1:
        others = ", ".join(names[1 : MOST_NAMED + 1])
        message = f"is there {len(group)} times, byte by byte: {others}{_more(group[1:])}"
        yield Finding(Kind.REPEATED, first.name, message, names)


def _more(group: Sequence[Item]) -> str:
    return f" and {len(group) - MOST_NAMED} more" if len(group) > MOST_NAMED else ""


def _outside(items: Sequence[Item]) -> Iterator[Finding]:
    names = tuple(item.name for item in items if leads_out(item.name))
    if names:
        message = (
            f"{_images(len(names))} by a path that is absolute, or leads out of the data set's "
            "directory: they do not move with it"
        )
        yield Finding(Kind.OUTSIDE, names[0], message, names)


def _of_classes(classes: Sequence[ClassCount]) -> Iterator[Finding]:
    for each in classes:
        if each.usable == 0:
            why = f", but {_images(each.unreadable)} that cannot be read" if each.unreadable else ""
            message = f"the class has no image{why}: add some, or remove the class"
            yield Finding(Kind.EMPTY_CLASS, each.name, message)
        elif each.usable == 1:
            message = (
                "the class has one image, which cannot be trained and tested with: add more, or "
                "remove the class"
            )
            yield Finding(Kind.ONE_IMAGE, each.name, message)
    if len(classes) == 1:
        message = "it is the only class: there is nothing to tell it from"
        yield Finding(Kind.ONE_CLASS, classes[0].name, message)
    some = [each for each in classes if each.usable]
    if some:
        least = min(some, key=lambda each: each.usable)
        most = max(some, key=lambda each: each.usable)
        if most.usable >= UNEVEN * least.usable:
            message = (
                f"the class has {_images(most.usable)}, and {least.name} has {least.usable}: "
                "classes with few are recognised less often"
            )
            yield Finding(Kind.UNEVEN, most.name, message)


def _of_splits(classes: Sequence[ClassCount]) -> Iterator[Finding]:
    there = {name for each in classes for name in each.splits}
    for each in classes:
        if "train" in there and each.splits and not each.splits.get("train"):
            message = "the class is in no image to train with: move some, or remove the class"
            yield Finding(Kind.NOT_TRAINED, each.name, message)
        lacking = [name for name in ("val", "test") if name in there and not each.splits.get(name)]
        if lacking and each.splits.get("train"):
            message = (
                f"the class has no image in {' and '.join(lacking)}: nothing tells how well it is "
                "recognised"
            )
            yield Finding(Kind.NOT_TESTED, each.name, message)


def _near_names(labels: Sequence[str]) -> Iterator[Finding]:
    by_form: dict[str, list[str]] = defaultdict(list)
    for label in labels:
        by_form[plain_form(label)].append(label)
    for names in by_form.values():
        if len(names) > 1:
            others = first_few(list(map(repr, names[1:])), MOST_NAMED)
            message = (
                f"the class is called almost like {others}: if they are one, put their images "
                "together"
            )
            yield Finding(Kind.NEAR_NAMES, names[0], message)


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count} images"
