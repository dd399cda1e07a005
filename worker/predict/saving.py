"""Saves the results of one run into one directory, none over another."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from worker.errors import WorkerError
from worker.predict.naming import OutputName
from worker.predict.results import ClassificationResult

__all__ = ["Saver"]


class Saver:
    """Writes `STEM_res.json` and `STEM_res.EXT`; a stem that came before gets a number.

    The reference overwrites `a/cat.jpg` with `b/cat.jpg`, and the JSON of `cat.png` with that of
    `cat.jpg`. What an earlier run has left is replaced here too.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._taken: set[str] = set()

    def save(self, result: ClassificationResult) -> None:
        """Write both files.

        Raises:
            WorkerError: the directory cannot be written; the message says why.
        """
        result.output_name = self._unique(result.output_name)
        try:
            result.save_all(self._directory)
        except OSError as error:
            raise WorkerError(
                f"results cannot be saved: {error.strerror}: {error.filename}"
            ) from error

    def _unique(self, name: OutputName) -> OutputName:
        stem, number = name.stem, 1
        # Some file systems take Cat and cat for the same name.
        while stem.casefold() in self._taken:
            number += 1
            stem = f"{name.stem}-{number}"
        self._taken.add(stem.casefold())
        return replace(name, stem=stem)
