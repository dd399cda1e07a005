"""Saves the results of one run: all in a directory, each under its own name, or one in a file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from worker.errors import SettingsError, WorkerError
from worker.image_formats import WRITABLE_SUFFIXES
from worker.predict.inputs import Source
from worker.predict.naming import OutputName
from worker.predict.page_count import count_images
from worker.predict.results import ClassificationResult
from worker.predict.save_target import JSON_SUFFIX, is_directory, several_images

__all__ = ["DirectorySaver", "FileSaver", "Saver", "make_saver"]


class DirectorySaver:
    """Writes `STEM_res.json` and `STEM_res.EXT`; a stem that came before gets a number.

    PaddleX overwrites `a/cat.jpg` with `b/cat.jpg`, and the JSON of `cat.png` with that of
    `cat.jpg`. Files of an earlier run are replaced here too.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._taken: set[str] = set()

    def save(self, result: ClassificationResult) -> list[Path]:
        """Write both files.

        Returns:
            The JSON file and the picture.

        Raises:
            WorkerError: the directory cannot be written; the message says why.
        """
        result.output_name = self._unique(result.output_name)
        # With a slash: the directory's own name may end like a file's.
        directory = f"{self._directory}/"
        return _written(lambda: [result.save_to_json(directory), result.save_to_img(directory)])

    def _unique(self, name: OutputName) -> OutputName:
        stem, number = name.stem, 1
        # Some file systems take Cat and cat for the same name.
        while stem.casefold() in self._taken:
            number += 1
            stem = f"{name.stem}-{number}"
        self._taken.add(stem.casefold())
        return replace(name, stem=stem)


class FileSaver:
    """Writes the one result of a run into the file that was named: its JSON, or its picture."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def check(self, images: Iterable[Source]) -> list[Source]:
        """Make sure that there is one image at most, as its page shows where a URL does not.

        Args:
            images: what is to be classified, a source for each page. No more than two are taken.

        Returns:
            The one image, to be classified in their place; none where there is none.

        Raises:
            SettingsError: there are more.
        """
        first = list(islice(images, 2))
        if len(first) > 1:
            page = first[0].page
            count = "several" if page is None else f"{page.count} pages in {first[0].input_path}"
            raise several_images(os.fspath(self._file), count)
        return first

    def save(self, result: ClassificationResult) -> list[Path]:
        """Write the file.

        Returns:
            The file alone.

        Raises:
            WorkerError: it cannot be written; the message says why.
        """
        if self._file.suffix.lower() == JSON_SUFFIX:
            return _written(lambda: [result.save_to_json(self._file)])
        return _written(lambda: [result.save_to_img(self._file)])


Saver = DirectorySaver | FileSaver


def make_saver(target: str, sources: Sequence[Source]) -> Saver:
    """Choose how results are saved in `target`.

    Args:
        target: as the user wrote it: a directory, which is made if it is missing; or, for one
            input, a file that ends in `.json` or in the suffix of a format that is written. With
            any other suffix it is a directory if it exists, or if it ends in a slash.
        sources: the inputs to be classified.

    Returns:
        What saves each result.

    Raises:
        SettingsError: `target` is a file, but there are several images; or it is neither.
    """
    path = Path(target)
    if is_directory(target):
        return DirectorySaver(path)
    suffix = path.suffix.lower()
    if suffix != JSON_SUFFIX and suffix not in WRITABLE_SUFFIXES:
        known = " ".join(sorted(WRITABLE_SUFFIXES | {JSON_SUFFIX}))
        raise SettingsError(
            f"--save-dir {target}: no result is written as {suffix}. For a directory of that name "
            f"write {target}/ with a slash; a file's name ends in one of {known}"
        )
    images = len(sources) if len(sources) != 1 else count_images(sources[0])
    if images > 1:
        raise several_images(target, str(images))
    return FileSaver(path)


def _written(write: Callable[[], list[Path]]) -> list[Path]:
    try:
        return write()
    except OSError as error:
        raise WorkerError(f"results cannot be saved: {error.strerror}: {error.filename}") from error
    except ValueError as error:  # a WebP file, for one, cannot hold every size
        raise WorkerError(f"results cannot be saved: {error}") from error
