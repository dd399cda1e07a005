"""Whether a model's files are still those that were read: anybody may write to a directory."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

from worker.errors import ModelError
from worker.model import CONFIG_FILE, ModelSpec, load_model_spec

__all__ = ["ModelFiles"]

State: TypeAlias = tuple[int, int, int] | None
"""Inode, size and time of the last change; None if there is no such file."""


class ModelFiles:
    """The files of one model, as they are now and were at first.

    Args:
        spec: what was read of them just before.
    """

    def __init__(self, spec: ModelSpec) -> None:
        self._spec = spec
        self._states = self._look()

    def check(self, *, thoroughly: bool = False) -> None:
        """Make sure that the files are still the model that was read. Blocks: it may read them all.

        Args:
            thoroughly: whether they are read even if they look the same.

        Raises:
            ModelError: they are another model, or none.
        """
        states = self._look()
        if states == self._states and not thoroughly:
            return
        spec = self._spec
        if load_model_spec(spec.directory).digest != spec.digest:
            raise ModelError(
                f"the files in {spec.directory} are no longer those of the model with the digest "
                f"{spec.digest}: have the worker change its model, or restart it"
            )
        self._states = states

    def _look(self) -> list[State]:
        spec = self._spec
        return [_state(path) for path in (spec.program, spec.params, spec.directory / CONFIG_FILE)]


def _state(path: Path) -> State:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
