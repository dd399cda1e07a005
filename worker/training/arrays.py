"""Arrays of numbers in files: read without pickles, which numpy's own `load` knows too."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

__all__ = ["Arrays", "read_archive", "read_array"]

Arrays = dict[str, npt.NDArray[Any]]

_SUFFIX = ".npy"


def read_array(path: Path) -> npt.NDArray[Any]:
    """Read what `numpy.save` has written.

    Returns:
        The array.

    Raises:
        OSError: it cannot be read.
        ValueError: it is something else, or damaged.
    """
    with path.open("rb") as file:
        return _read(file)


def read_archive(path: Path) -> Arrays:
    """Read what `numpy.savez` has written.

    Returns:
        Its arrays by name.

    Raises:
        OSError: it cannot be read.
        ValueError: it is something else, or damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            arrays = {}
            for name in archive.namelist():
                with archive.open(name) as member:
                    arrays[name.removesuffix(_SUFFIX)] = _read(member)
            return arrays
    except (zipfile.BadZipFile, EOFError) as error:
        raise ValueError(str(error) or "it is cut off") from error


def _read(file: IO[bytes]) -> npt.NDArray[Any]:
    return np.lib.format.read_array(file, allow_pickle=False)
