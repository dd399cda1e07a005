"""Splits a data set into images to train with, to choose by, and to test with."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from worker.datasets.contents import same_contents
from worker.datasets.dataset import SPLITS, Dataset, Item, Split

__all__ = ["FRACTIONS", "split"]

FRACTIONS: Mapping[Split, float] = {"train": 0.7, "val": 0.15, "test": 0.15}


def split(dataset: Dataset, *, seed: int, fractions: Mapping[Split, float] = FRACTIONS) -> Dataset:
    """Split each class in the same proportions; what says what it is for keeps that.

    Where some images are to train with and none to choose by (`val`), a share of those to train
    with is taken for that. Files of the same content stay together. The same data set and seed give
    the same splits on every machine, wherever the data set lies.

    Args:
        fractions: of the images of each class.

    Returns:
        A data set each of whose images has a split, in the same order.

    Raises:
        ValueError: the fractions are none, or are negative.
    """
    shares = [fractions.get(each, 0.0) for each in SPLITS]
    if min(shares) < 0 or sum(shares) <= 0:
        raise ValueError(f"fractions are to be 0 or more, and one of them above: {fractions}")
    given = {item.split for item in dataset.items}
    if None in given:
        free = [item for item in dataset.items if item.split is None]
    elif "train" in given and "val" not in given:
        free = [item for item in dataset.items if item.split == "train"]
        shares[SPLITS.index("test")] = 0.0
    else:
        return dataset
    chosen = _choose(free, shares, seed)
    items = tuple(replace(item, split=chosen.get(id(item), item.split)) for item in dataset.items)
    return replace(dataset, items=items)


def _choose(items: Sequence[Item], shares: Sequence[float], seed: int) -> dict[int, Split]:
    """The split of each item, by its `id()`: two lines of a list may be about one file."""
    classes: dict[str, list[list[Item]]] = defaultdict(list)
    for group in same_contents(items):
        classes[group[0].label].append(group)
    chosen: dict[int, Split] = {}
    for label, groups in classes.items():
        groups.sort(key=lambda group: group[0].name)
        # Of each class by itself, so that another class's images change nothing in this one.
        # A folder's name need not be UTF-8.
        lot = f"{seed}:{label}".encode(errors="surrogateescape")
        random.Random(lot).shuffle(groups)  # noqa: S311 - not a secret
        counts = _counts(len(groups), shares)
        names = [each for each, count in zip(SPLITS, counts, strict=True) for _ in range(count)]
        for group, name in zip(groups, names, strict=True):
            chosen.update((id(item), name) for item in group)
    return chosen


def _counts(total: int, shares: Sequence[float]) -> list[int]:
    """How many of `total` each share gets: one at least as far as they go, the first one first."""
    wanted = [share / sum(shares) * total for share in shares]
    counts = [int(each) for each in wanted]
    by_rest = sorted(range(len(shares)), key=lambda each: counts[each] - wanted[each])
    for each in by_rest[: total - sum(counts)]:
        counts[each] += 1
    for each, share in enumerate(shares):
        largest = max(range(len(counts)), key=counts.__getitem__)
        if share > 0 and counts[each] == 0 and counts[largest] > 1:
            counts[each] += 1
            counts[largest] -= 1
    return counts
