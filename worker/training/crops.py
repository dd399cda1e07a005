"""Images read and transformed by the worker's own image processes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from worker.engine.portal import Portal
from worker.errors import JobError
from worker.failpoints import Failpoints
from worker.imaging.gathering import gather_watched
from worker.imaging.images import ImageProcesses
from worker.inference.placement import available_cores
from worker.metrics import Metrics
from worker.model import ModelSpec
from worker.settings import DecodeSettings
from worker.training.crop_file import Crops

__all__ = ["CropReader"]


class CropReader:
    """Reads images in image processes; a context manager that ends them.

    Args:
        spec: the model, which says how images are scaled and cropped.
        together: most images that are read at a time.

    Raises:
        UnfitSystemError: the system lacks a library that a codec needs.
        OSError: the system has no room for another process.
    """

    def __init__(self, spec: ModelSpec, settings: DecodeSettings, together: int) -> None:
        async def start(stack: AsyncExitStack) -> ImageProcesses:
            count = settings.processes or available_cores()
            images = ImageProcesses(spec, count, together, settings, Metrics(), Failpoints())
            stack.callback(images.stop)
            await images.start()
            return images

        self._portal = Portal(start, "images")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._portal.close()

    def read(self, paths: Sequence[Path], crops: Sequence[Crops]) -> list[JobError | None]:
        """Read images, all at a time, and put their crops where they belong.

        Args:
            crops: for each path the `[H, W, 3] uint8` that is filled; with black if the image
                cannot be used.

        Returns:
            For each path None, or what is wrong with the image.

        Raises:
            PredictorError: the image processes cannot be started again.
        """
        # Absolute: image processes open them, whose directory stays what it was.
        return self._portal.call(self._read_all([path.absolute() for path in paths], crops))

    async def _read_all(
        self, paths: Sequence[Path], crops: Sequence[Crops]
    ) -> list[JobError | None]:
        reading = (self._read(*each) for each in zip(paths, crops, strict=True))
        return await gather_watched(reading, self._portal.value)

    async def _read(self, path: Path, crop: Crops) -> JobError | None:
        images = self._portal.value
        try:
            prepared = await images.prepare(path, 0.0, None)
        except JobError as error:
            crop[:] = 0
            return error.with_traceback(None)
        try:
            crop[:] = prepared.crop
        finally:
            images.release(prepared)
        return None
