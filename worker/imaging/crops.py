"""Cells for crops in one file, written by image processes and read by the predictors' slots."""

from __future__ import annotations

import fcntl
import math
import mmap
import os
import weakref
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from worker.runtime.processes import anonymous_file

__all__ = ["CropCells"]


class CropCells:
    """Cells of one crop each. Their number bounds how far decoding runs ahead of the predictors.

    Memory is taken by cells that have been used, not by all that there may be.

    Args:
        count: most cells in use at a time.
        input_size: `(H, W)` of a crop in pixels.
        spare: cells for images that take long, besides `count`.

    Attributes:
        descriptor: of the file: cell after cell, each `[H, W, 3] uint8`.
        limit: most cells in use at a time; may be lowered.
        aside: tells how many in use do not count: those of images for which nobody shall wait.
    """

    def __init__(self, count: int, input_size: tuple[int, int], spare: int = 0) -> None:
        self.limit = count
        self.aside: Callable[[], int] = lambda: 0
        count += spare
        self._shape = (count, *input_size, 3)
        # The lowest come first, so that few are ever touched.
        self._free = list(reversed(range(count)))

    def open(self) -> None:
        """Make the file, before the first cell is used.

        Raises:
            OSError: there is no room for it.
        """
        size = math.prod(self._shape)
        self.descriptor = anonymous_file()
        weakref.finalize(self, os.close, self.descriptor)
        os.ftruncate(self.descriptor, size)
        if hasattr(os, "memfd_create"):
            # A process that has been taken over must not be able to pull memory from under others.
            fcntl.fcntl(self.descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
        self._crops = np.frombuffer(mmap.mmap(self.descriptor, size), np.uint8).reshape(self._shape)

    @property
    def in_use(self) -> int:
        """Cells that hold a crop, or will."""
        return self._shape[0] - len(self._free)

    @property
    def available(self) -> bool:
        """Whether a cell can be taken."""
        in_use = self.in_use
        return bool(self._free) and (in_use < self.limit or in_use - self.aside() < self.limit)

    def take(self) -> int:
        """Take a free cell.

        Returns:
            Its number.
        """
        return self._free.pop()

    def give_back(self, cell: int) -> None:
        """Have a cell used again."""
        self._free.append(cell)

    def view(self, cell: int) -> npt.NDArray[np.uint8]:
        """Look at a crop without copying it.

        Returns:
            `[H, W, 3] uint8`, read-only; valid until the cell is given back.
        """
        crop: npt.NDArray[np.uint8] = self._crops[cell]
        crop.flags.writeable = False
        return crop
