"""A training's state in one file, which is whole or not there."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from worker.cache import replacing
from worker.errors import TrainingError
from worker.training.arrays import Arrays, read_archive, read_array

__all__ = ["load", "load_array", "save"]

_FACTS = "facts"


def save(path: Path, facts: Mapping[str, object], arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write a state: readers see the one before or this one, also after a crash.

    Args:
        facts: what JSON has.

    Raises:
        OSError: the disk is full, or cannot be written.
    """
    # Numbers and text alone: a pickle would run code when it is loaded.
    text = np.frombuffer(json.dumps(facts).encode(), np.uint8)
    everything: dict[str, Any] = {_FACTS: text, **arrays}
    with replacing(path) as file:
        np.savez(file, **everything)
        file.flush()
        os.fsync(file.fileno())


def load(path: Path) -> tuple[dict[str, Any], Arrays]:
    """Read a state.

    Returns:
        Its facts, and its arrays by name.

    Raises:
        FileNotFoundError: there is none.
        TrainingError: it is damaged.
    """
    try:
        arrays = read_archive(path)
        facts: dict[str, Any] = json.loads(arrays.pop(_FACTS).tobytes())
    except FileNotFoundError:
        raise
    except (OSError, ValueError, KeyError) as error:
        raise _damaged(path, error) from error
    return facts, arrays


def load_array(path: Path) -> npt.NDArray[Any]:
    """Read an array that a checkpoint has in a file of its own.

    Returns:
        The array.

    Raises:
        TrainingError: it is missing or damaged.
    """
    try:
        return read_array(path)
    except (OSError, ValueError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> TrainingError:
    return TrainingError(
        f"{path} is damaged ({error}): train into another directory, without --resume"
    )
