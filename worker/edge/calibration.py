"""Images for int8: some whose values set the ranges, and others on which accuracy is measured."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from worker.datasets import Item, open_dataset, split
from worker.errors import ExportError, JobError
from worker.images.limits import Limits
from worker.images.local_files import read_file
from worker.images.prepare import prepare
from worker.images.transform import Transform
from worker.model import ModelSpec
from worker.predictor.parity import Scorer
from worker.wording import first_few

__all__ = ["Accuracy", "Calibration", "open_calibration"]

SEED = 20
MOST_IMAGES = 128
"""Images that set the ranges: more change little, and each is computed in float32."""

_BATCH = 8
_SHOWN = 3
"""Names in a message."""


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How many of the images that set no range are classified right, before and after.

    Attributes:
        images: that were classified.
        before: share of them whose best class is the right one, in float32.
        after: the same, in int8.
    """

    images: int
    before: float
    after: float

    def plain(self) -> dict[str, Any]:
        """Describe it for model.json.

        Returns:
            Plain values.
        """
        return {
            "held_out_images": self.images,
            "top1_float32": round(self.before, 4),
            "top1_int8": round(self.after, 4),
        }


class Calibration:
    """A data set's images as the model sees them.

    Args:
        labels: the model's, in class order.
        ranges: those that set the ranges.
        held_out: the others.

    Attributes:
        skipped: a line for each image that could not be used.
    """

    def __init__(
        self,
        transform: Transform,
        limits: Limits,
        labels: Sequence[str],
        ranges: Sequence[Item],
        held_out: Sequence[Item],
    ) -> None:
        self._transform = transform
        self._limits = limits
        self._ranges = ranges
        self._held_out = held_out
        self._ids = {label: number for number, label in enumerate(labels)}
        self.skipped: list[str] = []

    def crops(self) -> npt.NDArray[np.uint8]:
        """Read the images that set the ranges.

        Returns:
            `[N, H, W, 3] uint8`.

        Raises:
            ExportError: none can be used.
        """
        crops = [crop for item in self._ranges if (crop := self._crop(item)) is not None]
        if not crops:
            raise ExportError(f"no calibration image can be used: {self.skipped[0]}")
        return np.stack(crops)

    def accuracy(self, before: Scorer, after: Scorer) -> Accuracy:
        """Classify the other images with both networks.

        Returns:
            How many are right.

        Raises:
            ExportError: none can be used.
        """
        total, right = 0, np.zeros(2, np.int64)
        for crops, classes in self._batches():
            total += len(classes)
            for each, scorer in enumerate((before, after)):
                right[each] += np.count_nonzero(scorer.scores(crops).argmax(axis=1) == classes)
        if not total:
            raise ExportError(f"no held-out image can be used: {self.skipped[-1]}")
        return Accuracy(total, *(float(count / total) for count in right))

    def _batches(self) -> Iterator[tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]]:
        for start in range(0, len(self._held_out), _BATCH):
            items = self._held_out[start : start + _BATCH]
            found = [(crop, item) for item in items if (crop := self._crop(item)) is not None]
            if found:
                crops = np.stack([crop for crop, _ in found])
                yield crops, np.array([self._ids[item.label] for _, item in found], np.int64)

    def _crop(self, item: Item) -> npt.NDArray[np.uint8] | None:
        try:
            data = read_file(item.path, self._limits.max_bytes)
            return prepare(data, self._transform, self._limits, None).crop
        except JobError as error:
            self.skipped.append(f"{item.name}: {error}")
            return None


@contextmanager
def open_calibration(
    data: Path, spec: ModelSpec, classes: int, limits: Limits
) -> Iterator[Calibration]:
    """Open a data set for as long as the block runs.

    Images to train with set the ranges, at most `MOST_IMAGES` of them; the others are held out.

    Args:
        classes: how many the network tells apart.

    Yields:
        Its images.

    Raises:
        DatasetError: there is no data set.
        ExportError: its classes are not the model's, or one of the two parts is empty.
    """
    with open_dataset(data) as dataset:
        labels = [spec.label(number) for number in range(classes)]
        foreign = sorted({*dataset.labels} - {*labels})
        if foreign:
            raise ExportError(
                f"{data} has classes that {spec.name} does not have, "
                f"{first_few(list(map(repr, foreign)), _SHOWN)}: name them as the model's labels "
                "do, or leave them out"
            )
        items = split(dataset, seed=SEED).items
        ranges = [item for item in items if item.split == "train"]
        held_out = [item for item in items if item.split != "train"]
        if not ranges or not held_out:
            raise ExportError(
                f"{data} has {len(ranges)} images to train with and {len(held_out)} others; int8 "
                "needs both: the first set the ranges, and accuracy is measured on the others"
            )
        random.Random(SEED).shuffle(ranges)  # noqa: S311 - not a secret
        transform = Transform(spec.resize, spec.crop, spec.channels)
        yield Calibration(transform, limits, labels, ranges[:MOST_IMAGES], held_out)
