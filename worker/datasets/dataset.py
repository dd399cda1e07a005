"""What a data set is, whatever layout it came in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from pathlib import Path

    from worker.datasets.findings import Finding

__all__ = ["SPLITS", "Dataset", "Item", "Split", "split_named"]

Split: TypeAlias = Literal["train", "val", "test"]

SPLITS: tuple[Split, ...] = ("train", "val", "test")

_NAMES: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True, slots=True)
class Item:
    """One labelled image, which has not been opened yet.

    Attributes:
        path: its file, which may turn out not to exist.
        name: as the user knows it: relative to the data set, or as its list has it.
        label: the name of its class.
        split: what it is for; None where the data set does not say.
    """

    path: Path
    name: str
    label: str
    split: Split | None = None


@dataclass(frozen=True, slots=True)
class Dataset:
    """Labelled images.

    Attributes:
        source: the path as it was given.
        layout: what was recognised, in words.
        items: in the order of the layout: by name within a folder, line by line in a list.
        labels: the names of the classes, in the order of their ids; each item's label is one.
        findings: what was noticed while it was read; of those that are wrong there are none unless
            it was opened with `strict=False`.
    """

    source: str
    layout: str
    items: tuple[Item, ...]
    labels: tuple[str, ...]
    findings: tuple[Finding, ...] = ()

    @property
    def is_split(self) -> bool:
        """Whether any image says what it is for."""
        return any(item.split is not None for item in self.items)

    def of(self, split: Split) -> tuple[Item, ...]:
        """Choose the items of one split.

        Returns:
            The items, in their order.
        """
        return tuple(item for item in self.items if item.split == split)


def split_named(name: str) -> Split | None:
    """Find the split that a folder or a list calls so, such as `train` or `validation`.

    Returns:
        The split; None if it is no name of one.
    """
    return _NAMES.get(name.strip().lower())
