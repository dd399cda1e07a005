"""Looks at every file of a data set as a worker would, and judges what it found."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from worker.datasets.contents import digest, digest_of_file
from worker.datasets.dataset import Dataset
from worker.datasets.findings import Finding
from worker.datasets.judging import ClassCount, FileFacts, count_classes, judge
from worker.errors import JobError
from worker.failpoints import Failpoints
from worker.imaging.gathering import gather_watched
from worker.imaging.images import ImageProcesses
from worker.imaging.protocol import LANES
from worker.inference.placement import available_cores
from worker.metrics import Metrics
from worker.model import CenterCrop, Channels, Resize
from worker.settings import DecodeSettings

__all__ = ["Checked", "check"]


@dataclass(frozen=True, slots=True)
class Checked:
    """A data set that has been looked at.

    Attributes:
        digest: as `worker.datasets.digest`.
        classes: in the order of their ids.
        findings: what is wrong, and what is worth knowing.
    """

    dataset: Dataset
    digest: str
    classes: list[ClassCount]
    findings: list[Finding]

    @property
    def usable(self) -> bool:
        """Whether nothing has to be corrected."""
        return not any(finding.kind.wrong for finding in self.findings)


@dataclass(frozen=True, slots=True)
class _Geometry:
    """What a model wants of an image."""

    resize: Resize
    crop: CenterCrop
    channels: Channels
    input_size: tuple[int, int]


_GEOMETRY = _Geometry(Resize(short=256, size=None), CenterCrop(224, 224), "RGB", (224, 224))
"""That of most models: which images can be used differs little from one to another."""


def check(
    dataset: Dataset, settings: DecodeSettings, on_file: Callable[[], object] = lambda: None
) -> Checked:
    """Decode every image in image processes, hash every file, and judge the data set.

    A few files for each process are under way at a time, whatever their number.

    Args:
        dataset: opened with `strict=False`, so that all that is wrong is found.
        settings: what images are accepted.
        on_file: called when a file has been looked at; there are as many as different paths.

    Returns:
        What was found.

    Raises:
        UnfitSystemError: the system lacks a library that a codec needs.
        PredictorError: the image processes cannot be started again.
        OSError: the system has no room for another process.
    """
    paths = dict.fromkeys(item.path for item in dataset.items)
    facts = asyncio.run(_look_at(paths, settings, on_file))
    contents = {path: each.content for path, each in facts.items()}
    return Checked(
        dataset, digest(dataset, contents), count_classes(dataset, facts), judge(dataset, facts)
    )


async def _look_at(
    paths: Iterable[Path], settings: DecodeSettings, on_file: Callable[[], object]
) -> dict[Path, FileFacts]:
    processes = settings.processes or available_cores()
    most = processes * (1 + LANES)
    images = ImageProcesses(
        _GEOMETRY, processes, most, settings, Metrics(), Failpoints.from_environ(os.environ)
    )
    facts: dict[Path, FileFacts] = {}
    waiting = iter(paths)
    try:
        await images.start()
        work = (_work(waiting, images, facts, on_file) for _ in range(most))
        await gather_watched(work, images)
    finally:
        images.stop()
    return facts


async def _work(
    waiting: Iterator[Path],
    images: ImageProcesses,
    facts: dict[Path, FileFacts],
    on_file: Callable[[], object],
) -> None:
    for path in waiting:
        absolute, content, is_other = await asyncio.to_thread(_read, path)
        problem = "it is no plain file" if is_other else await _problem(images, absolute)
        facts[path] = FileFacts(content, problem)
        on_file()


def _read(path: Path) -> tuple[Path, str | None, bool]:
    """A file's absolute path and digest, and whether it is there, but as something else.

    Image processes have a directory of their own, and a pipe would hold one up.
    """
    content = digest_of_file(path)
    try:
        is_other = content is None and path.exists() and not path.is_file()
    except (OSError, ValueError):
        is_other = False
    return path.absolute(), content, is_other


async def _problem(images: ImageProcesses, path: Path) -> str | None:
    """Why a file is of no use as an image."""
    try:
        prepared = await images.prepare(path, 0.0, None)
    except JobError as error:
        return error.message
    images.release(prepared)
    return None
