"""The file of transformed images that the owner and the trainer share."""

from __future__ import annotations

import math
import mmap
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from worker.errors import TrainingError
from worker.runtime.processes import anonymous_file

__all__ = ["CropFile", "Crops", "map_crops"]

Crops = npt.NDArray[np.uint8]


def map_crops(descriptor: int, count: int, input_size: tuple[int, int]) -> Crops:
    """Map the crops of a file.

    Returns:
        `[count, H, W, 3] uint8`, shared with all that map it.
    """
    shape = (count, *input_size, 3)
    memory = mmap.mmap(descriptor, math.prod(shape))
    return np.frombuffer(memory, np.uint8).reshape(shape)


class CropFile:
    """Room for crops: for all of them on disk, or for a few in memory, which are then reused.

    Args:
        path: a file for all crops, kept between runs; None for memory.
        count: how many there is room for.

    Attributes:
        descriptor: of the file.
        crops: `[count, H, W, 3] uint8`; the crop of a row is at `row % count`.
    """

    def __init__(self, path: Path | None, count: int, input_size: tuple[int, int]) -> None:
        size = math.prod((count, *input_size, 3))
        if path is None:
            self.descriptor = anonymous_file()
            os.ftruncate(self.descriptor, size)
        else:
            self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                # Now, and not by SIGBUS when a page is first written.
                os.posix_fallocate(self.descriptor, 0, size)
            except OSError as error:
                os.close(self.descriptor)
                raise TrainingError(
                    f"{path} needs {size / 2**20:,.0f} MiB for the transformed images "
                    f"({error.strerror}): free some, or train the head alone, without --unfreeze"
                ) from error
        self.crops = map_crops(self.descriptor, count, input_size)

    def close(self) -> None:
        """Close the file; what is on disk stays there."""
        os.close(self.descriptor)
