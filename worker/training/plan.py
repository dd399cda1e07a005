"""Which images are trained with, chosen by and tested with, in one order: the rows."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from worker.datasets import Dataset, Item, Split, split
from worker.errors import DatasetError
from worker.wording import first_few

__all__ = ["SPLIT_IDS", "Plan", "Skipped", "check_classes", "check_usable", "make_plan"]

SPLIT_IDS: dict[Split, int] = {"val": 0, "train": 1, "test": 2}
"""Numbers of the splits, in the order of the rows."""

MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class Skipped:
    """An image that cannot be used.

    Attributes:
        row: its row in the plan.
        name: as the user knows it.
        reason: the label of a `Reason`.
        message: what to change.
    """

    row: int
    name: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The images of a training, row by row: those to choose by, to train with, to test with.

    Attributes:
        labels: in class order.
        items: a row each.
        digest: of the data set's contents.
    """

    labels: tuple[str, ...]
    items: tuple[Item, ...]
    digest: str

    @property
    def targets(self) -> npt.NDArray[np.int64]:
        """The class id of each row, `[N] int64`."""
        ids = {label: number for number, label in enumerate(self.labels)}
        return np.array([ids[item.label] for item in self.items], np.int64)

    @property
    def splits(self) -> npt.NDArray[np.int8]:
        """The split of each row, `[N] int8`, as `SPLIT_IDS` numbers them."""
        return np.array([SPLIT_IDS[item.split or "train"] for item in self.items], np.int8)

    def counts(self, skipped: Iterable[Skipped] = ()) -> dict[str, int]:
        """Count the images of each split, without those that are skipped.

        Returns:
            The numbers by the names of the splits.
        """
        rows = {each.row for each in skipped}
        found = Counter(item.split for row, item in enumerate(self.items) if row not in rows)
        return {name: found[name] for name in ("train", "val", "test")}

    @property
    def fingerprint(self) -> str:
        """Hash everything that the order of rows depends on, for checkpoints."""
        rows = [[item.name, item.label, item.split] for item in self.items]
        text = json.dumps([self.digest, self.labels, rows], ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()


def make_plan(dataset: Dataset, digest: str, seed: int) -> Plan:
    """Split a data set, where it is not split, and order its images.

    Returns:
        The plan.

    Raises:
        DatasetError: there are fewer than two classes, or some have no image to train with.
    """
    check_classes(dataset)
    whole = split(dataset, seed=seed)
    items = tuple(item for each in SPLIT_IDS for item in whole.of(each))
    plan = Plan(dataset.labels, items, digest)
    check_usable(plan, ())
    return plan


def check_classes(dataset: Dataset) -> None:
    """Check that there is something to tell apart; no image is read.

    Raises:
        DatasetError: there are fewer than two classes.
    """
    if len(dataset.labels) < 2:
        raise DatasetError(
            f"{dataset.source} has one class, {dataset.labels[0]!r}: there must be two or more to "
            "tell apart"
        )


def check_usable(plan: Plan, skipped: Iterable[Skipped]) -> None:
    """Check that each class still has an image to train with.

    Raises:
        DatasetError: the classes without one are named.
    """
    rows = {each.row for each in skipped}
    trained = {
        item.label
        for row, item in enumerate(plan.items)
        if item.split == "train" and row not in rows
    }
    lacking = [label for label in plan.labels if label not in trained]
    if lacking:
        named = first_few(list(map(repr, lacking)), MOST_NAMED)
        which = "that can be read " if rows else ""
        raise DatasetError(
            f"these classes have no image {which}to train with: {named}; add some, or leave "
            "the classes out"
        )
