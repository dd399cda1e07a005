"""Images as the trainer sees them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from worker.model import Normalize
from worker.training.crop_file import CropFile
from worker.training.plan import SPLIT_IDS
from worker.training.process.rows import Rows, batches

SIZE = (2, 3)
SPLITS = ["val", "train", "train", "test", "train"]


@pytest.fixture
def crops() -> Iterator[CropFile]:
    file = CropFile(None, 4, SIZE)
    yield file
    file.close()


def make(directory: Path, crops: CropFile, normalize: Normalize | None = None) -> Rows:
    ids = {str(name): number for name, number in SPLIT_IDS.items()}
    splits = np.array([ids[each] for each in SPLITS], np.int8)
    np.savez(directory / "rows.npz", targets=np.arange(5), splits=splits)
    return Rows(directory, 7, crops.descriptor, 4, SIZE, normalize or Normalize())


def test_rows_are_those_of_a_split_without_what_is_left_out(
    tmp_path: Path, crops: CropFile
) -> None:
    rows = make(tmp_path, crops)
    assert [rows.of(split).tolist() for split in ("val", "train", "test")] == [[0], [1, 2, 4], [3]]
    rows.skip([2, 3])
    assert [rows.of(split).tolist() for split in ("val", "train", "test")] == [[0], [1, 4], []]


def test_crops_are_what_the_owner_put_there_and_tensors_what_a_predictor_makes_of_them(
    tmp_path: Path, crops: CropFile
) -> None:
    normalize = Normalize(1 / 255, (0.5, 0.25, 0.0), (0.5, 1.0, 2.0))
    rows = make(tmp_path, crops, normalize)
    crops.crops[:] = np.random.default_rng(0).integers(0, 256, crops.crops.shape, np.uint8)
    # Where there is room for a few, it is used again.
    chosen = np.array([4, 3])
    np.testing.assert_array_equal(rows.crops(chosen), crops.crops[[0, 3]])
    expected = (crops.crops[[0, 3]] / 255 - normalize.mean) / np.array(normalize.std)
    np.testing.assert_allclose(rows.tensors(chosen), expected.transpose(0, 3, 1, 2), atol=1e-6)


def test_features_stay(tmp_path: Path, crops: CropFile) -> None:
    rows = make(tmp_path, crops)
    rows.features[2] = 5
    rows.flush()
    again: npt.NDArray[np.float32] = make(tmp_path, crops).features
    assert again.sum(axis=1).tolist() == [0, 0, 35, 0, 0]


def test_batches_are_in_order_and_the_last_one_may_be_smaller() -> None:
    assert [each.tolist() for each in batches(np.arange(5), 2)] == [[0, 1], [2, 3], [4]]
