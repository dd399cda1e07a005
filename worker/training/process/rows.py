"""The images of a training as the trainer sees them: crops, targets, splits, features."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from worker.model import Normalize
from worker.predictor.normalization import Normalizer
from worker.training.arrays import read_archive
from worker.training.crop_file import Crops, map_crops
from worker.training.names import FEATURES, ROWS
from worker.training.plan import SPLIT_IDS

__all__ = ["Indices", "Rows", "batches"]

Indices = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


def batches(rows: Indices, size: int) -> Iterator[Indices]:
    """Part rows into batches, in order; the last one may be smaller."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


class Rows:
    """All images, by row.

    Args:
        directory: the checkpoint, with the targets and splits.
        width: of an image's features.
        crops: descriptor of the file of crops.
        cells: how many it holds.
        input_size: `(H, W)`.

    Attributes:
        targets: class ids, `[N] int64`.
        features: `[N, F] float32`, on disk.
    """

    def __init__(
        self,
        directory: Path,
        width: int,
        crops: int,
        cells: int,
        input_size: tuple[int, int],
        normalize: Normalize,
    ) -> None:
        read = read_archive(directory / ROWS)
        self.targets: Indices = read["targets"]
        self._splits: npt.NDArray[np.int8] = read["splits"]
        self._crops: Crops = map_crops(crops, cells, input_size)
        self._normalize = Normalizer(normalize)
        path, shape = directory / FEATURES, (len(self.targets), width)
        whole = path.exists() and path.stat().st_size == 4 * shape[0] * width
        self._kept = np.memmap(path, np.float32, "r+" if whole else "w+", shape=shape)
        self.features: Floats = self._kept
        self._usable = np.ones(len(self.targets), np.bool_)

    def skip(self, rows: Iterable[int]) -> None:
        """Leave rows out of all that is trained and tested."""
        self._usable[list(rows)] = False

    def of(self, split: str) -> Indices:
        """The rows of a split, without those that are left out."""
        chosen = self._splits == {str(name): number for name, number in SPLIT_IDS.items()}[split]
        return np.flatnonzero(chosen & self._usable)

    def crops(self, rows: Indices) -> Crops:
        """The crops of some rows, `[N, H, W, 3] uint8`."""
        return self._crops[rows % len(self._crops)]

    def tensors(self, rows: Indices) -> Floats:
        """The network's input for some rows, `[N, 3, H, W] float32`."""
        crops = self.crops(rows)
        tensor = np.empty((len(crops), 3, *crops.shape[1:3]), np.float32)
        self._normalize(crops, tensor)
        return tensor

    def flush(self) -> None:
        """Have the features on disk."""
        self._kept.flush()
