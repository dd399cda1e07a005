"""Which images of a data set are evaluated."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from worker.datasets import Dataset, Split, split
from worker.datasets.contents import same_contents
from worker.datasets.dataset import SPLITS
from worker.errors import DatasetError

if TYPE_CHECKING:
    from worker.evaluation.trained import Trained

__all__ = ["Part", "Selection", "select"]

Part = Split | Literal["all"]


@dataclass(frozen=True, slots=True)
class Selection:
    """The images of a data set that are evaluated.

    Attributes:
        dataset: with these images alone.
        part: what they are called.
        why: a sentence for the user: which images were taken, and of how many.
        leaked: names of images of it whose bytes are in a split to train with or to choose by as
            well: a model may know them by heart.
    """

    dataset: Dataset
    part: Part
    why: str
    leaked: tuple[str, ...] = ()


def select(
    dataset: Dataset, wanted: Part | None, seed: int | None, trained: Trained | None = None
) -> Selection:
    """Choose the images.

    Args:
        wanted: a split; None is what there is to test with, else to choose by (`val`), else all.
            Data that are not split are split as training does it.
        seed: of that splitting; None is that of the training, else 0.
        trained: the training of the model on these data, which are not split: None of `wanted` is
            then what that training kept to test with.

    Returns:
        At least one image.

    Raises:
        DatasetError: the data have no such images; the message says which they have.
    """
    total = len(dataset.items)
    seed = seed if seed is not None else 0 if trained is None else trained.seed
    if wanted is None and trained is not None and seed == trained.seed:
        kept = split(dataset, seed=seed).of("test")
        if kept:
            why = (
                f"the split 'test' is evaluated: {len(kept)} of {total} images, those that the "
                f"training of this model on the same data kept to test with (seed {seed}); "
                "--split all takes those that it was trained on as well"
            )
            return Selection(replace(dataset, items=kept), "test", why)
    part = wanted or _default(dataset)
    if part == "all":
        why = f"all {total} images are evaluated"
        if wanted is None and not dataset.is_split:
            why += (
                ", as the data are not split; if the model was trained on them, --split test takes "
                "those that train did not use"
            )
        return Selection(dataset, part, why)
    found, how = dataset.of(part), ""
    if not found:
        found, how = split(dataset, seed=seed).of(part), f", split here with seed {seed}"
    if not found:
        counts = {each: len(dataset.of(each)) for each in ("train", "val", "test")}
        have = ", ".join(f"{each} ({count})" for each, count in counts.items() if count)
        raise DatasetError(
            f"the data set {dataset.source} has no images in {part!r}; it has "
            f"{have or f'{total} that are not split'}: choose one with --split, or --split all"
        )
    return Selection(
        replace(dataset, items=found),
        part,
        f"the split {part!r} is evaluated: {len(found)} of {total} images{how}",
        _leaked(dataset, part),
    )


def _leaked(dataset: Dataset, part: Split) -> tuple[str, ...]:
    """Images of a split that one before it, in the order of their use, has too."""
    before = SPLITS[: SPLITS.index(part)]
    if not any(item.split in before for item in dataset.items):
        return ()
    return tuple(
        item.name
        for group in same_contents(dataset.items)
        if any(item.split in before for item in group)
        for item in group
        if item.split == part
    )


def _default(dataset: Dataset) -> Part:
    order: tuple[Split, ...] = ("test", "val")
    return next((part for part in order if dataset.of(part)), "all")
