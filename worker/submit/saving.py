"""Saves what results hold: each picture into a directory, or the one result into one file."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from worker.client.outcomes import Classification
from worker.contract.jobs import Category
from worker.errors import SettingsError, WorkerError
from worker.image_formats import ImageFormat
from worker.predict.naming import output_name
from worker.predict.save_target import JSON_SUFFIX, is_directory, several_images
from worker.submit.items import Item

__all__ = ["DirectorySaver", "FileSaver", "Saver", "make_saver", "single_item"]


@dataclass(frozen=True, slots=True)
class DirectorySaver:
    """Writes pictures as `NUMBER-STEM.jpg`: the number tells `a/cat.jpg` from `b/cat.png`."""

    directory: Path

    def save(self, number: int, name: str, result: Classification) -> Path | None:
        """Write the picture of a result.

        Args:
            number: of the item in its submission, from 1.
            name: of the item.

        Returns:
            The file; None if the result has no picture.

        Raises:
            WorkerError: the directory cannot be written; the message says why.
        """
        if result.image is None:
            return None
        path = self.directory / f"{number:04d}-{output_name(name).stem}.jpg"
        return _write(path, result.image)


@dataclass(frozen=True, slots=True)
class FileSaver:
    """Writes the one result of a submission into the file that was named."""

    file: Path

    @property
    def wants_json(self) -> bool:
        """Whether the file gets the result as JSON, and not its picture."""
        return self.file.suffix.lower() == JSON_SUFFIX

    def save(self, _: int, name: str, result: Classification) -> Path | None:
        """Write the picture, or the JSON that `predict` writes.

        Args:
            name: of the item.

        Returns:
            The file; None if the result has no picture.

        Raises:
            WorkerError: the file cannot be written; the message says why.
        """
        if self.wants_json:
            return _write_json(self.file, name, result.categories)
        return None if result.image is None else _write(self.file, result.image)


Saver = DirectorySaver | FileSaver


def make_saver(target: str) -> Saver:
    """Choose how results are saved in `target`.

    Args:
        target: as the user wrote it: a directory, which is made if it is missing; or, for one
            image, a file that ends in `.json` or in a suffix of JPEG files. With any other suffix
            it is a directory if it exists, or if it ends in a slash.

    Returns:
        What saves each result.

    Raises:
        SettingsError: it is neither.
    """
    path = Path(target)
    if is_directory(target):
        return DirectorySaver(path)
    suffix = path.suffix.lower()
    if suffix != JSON_SUFFIX and suffix not in ImageFormat.JPEG.suffixes:
        known = " ".join((*ImageFormat.JPEG.suffixes, JSON_SUFFIX))
        raise SettingsError(
            f"--save-dir {target}: a worker's pictures are JPEG files, and none is written as "
            f"{suffix}. For a directory of that name write {target}/ with a slash; the name of one "
            f"image's file ends in one of {known}"
        )
    return FileSaver(path)


async def single_item(items: AsyncIterator[Item], file: Path) -> AsyncIterator[Item]:
    """Make sure that there is one item at most, where one file is to get its result.

    Returns:
        An iterator over it.

    Raises:
        SettingsError: there are more.
    """
    found: list[Item] = []
    while len(found) < 2 and (item := await anext(items, None)) is not None:
        found.append(item)
    if len(found) > 1:
        raise several_images(os.fspath(file), "several")
    return _each(found)


async def _each(items: Sequence[Item]) -> AsyncIterator[Item]:
    for item in items:
        yield item


def _write_json(file: Path, name: str, categories: Sequence[Category]) -> Path:
    # Here, since they load codecs, for a file that is seldom asked for.
    import numpy as np  # noqa: PLC0415

    from worker.predict.results import ClassificationResult  # noqa: PLC0415

    no_pixels = np.empty((0, 0, 3), np.uint8)
    with _naming(file):
        return ClassificationResult(name, no_pixels, categories).save_to_json(file)


def _write(file: Path, data: bytes) -> Path:
    with _naming(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return file


@contextmanager
def _naming(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WorkerError(f"{file} cannot be written: {error.strerror}") from error
