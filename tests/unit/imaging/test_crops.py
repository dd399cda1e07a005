"""Cells for crops: taken, given back, and bounded."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest

from worker.imaging.crops import CropCells


def made(cells: CropCells) -> CropCells:
    cells.open()
    return cells


def test_cells_are_taken_and_given_back() -> None:
    cells = made(CropCells(3, (2, 4)))
    taken = [cells.take() for _ in range(3)]
    assert sorted(taken) == [0, 1, 2]
    assert (cells.available, cells.in_use) == (False, 3)
    cells.give_back(taken[1])
    assert (cells.available, cells.in_use) == (True, 2)
    assert cells.take() == taken[1]


def test_fewer_may_be_in_use_than_there_are() -> None:
    cells = made(CropCells(3, (2, 4)))
    cells.limit = 1
    seen = [cells.available]
    cell = cells.take()
    seen.append(cells.available)
    cells.give_back(cell)
    assert [*seen, cells.available] == [True, False, True]


def test_a_view_shows_what_was_written_into_the_file() -> None:
    cells = made(CropCells(3, (2, 4)))
    crop = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    os.pwrite(cells.descriptor, crop.tobytes(), 2 * crop.nbytes)
    view = cells.view(2)
    np.testing.assert_array_equal(view, crop)
    with pytest.raises(ValueError, match="read-only"):
        view[0, 0, 0] = 1


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone has seals")
def test_nobody_can_pull_the_memory_away() -> None:
    cells = made(CropCells(1, (2, 4)))
    with pytest.raises(PermissionError):
        os.ftruncate(cells.descriptor, 0)
