"""Everything between an image and its categories, for one model."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING

from worker.contract.jobs import ModelIdentity
from worker.engine.pipeline import Pipeline
from worker.failpoints import Failpoints
from worker.images.fetch import ImageFetcher
from worker.imaging.images import ImageProcesses
from worker.imaging.nursery import Nursery
from worker.imaging.protocol import LANES
from worker.inference.placement import Placement, available_cores
from worker.inference.pool import PredictorPool
from worker.metrics import Metrics
from worker.model import ModelSpec
from worker.settings import Settings

if TYPE_CHECKING:
    from worker.tracing.tracer import Tracer

__all__ = ["Engine"]


class Engine:
    """The fetcher, the image processes, the predictors, and the pipeline through them.

    For one event loop, in which any number of engines may work side by side.

    Args:
        placements: device and threads of each predictor.
        failpoints: faults to inject, for tests.
        capacity: most images of one batch, for callers that bound each image's batch themselves
            (`classify`'s `most`); None leaves batches to `settings.batching`.
        nursery: forks image processes; started here if it was not before.
        tracer: makes spans of jobs' stages and of batches; None without tracing.

    Attributes:
        spec: the model that it computes.
        pool: the predictors.
        images: the image processes.
        process: takes a job to its outcome, as `Pipeline.process` does.
        classify: takes an image to its categories, as `Pipeline.classify` does.
        fetch: brings the bytes at a URL, as `ImageFetcher.fetch` does.
    """

    def __init__(
        self,
        spec: ModelSpec,
        placements: Sequence[Placement],
        settings: Settings,
        failpoints: Failpoints,
        metrics: Metrics,
        *,
        capacity: int | None = None,
        nursery: Nursery | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        self.spec = spec
        self._fetcher = ImageFetcher(settings.fetch, on_failed_attempt=metrics.fetch_attempts.inc)
        self.pool = PredictorPool(
            spec,
            placements,
            settings.predictor,
            settings.batching,
            metrics,
            failpoints,
            capacity=capacity,
            tracer=tracer,
        )
        processes = settings.decode.processes or available_cores()
        self._cells = partial(_cells, len(placements), processes)
        self.images = ImageProcesses(
            spec,
            processes,
            self._cells(self.pool.max_batch),
            settings.decode,
            metrics,
            failpoints,
            nursery=nursery,
        )
        pipeline = Pipeline(
            spec, self._fetcher, self.pool, self.images, settings, metrics, tracer=tracer
        )
        self.process = pipeline.process
        self.classify = pipeline.classify
        self.fetch = self._fetcher.fetch

    @property
    def identity(self) -> ModelIdentity:
        """The model as results name it; without a backend before the start."""
        return ModelIdentity(self.spec.name, self.spec.digest, self.pool.backend)

    def images_stalled(self) -> bool:
        """Whether no image process could be had for a while."""
        return self.images.stalled

    async def start(self, stack: AsyncExitStack) -> None:
        """Start all parts; `stack` stops them in reverse.

        Raises:
            ModelError: a predictor process cannot load the model.
            UnfitSystemError: a process says which library the system lacks.
            PredictorError: a predictor process died or hung while it started.
            OSError: the system has no room for another process.
        """
        await stack.enter_async_context(self._fetcher)
        stack.callback(self.images.stop)
        stack.push_async_callback(self.pool.stop)
        starting = self.pool.start(), self.images.start()
        for error in await asyncio.gather(*starting, return_exceptions=True):
            if error is not None:
                raise error
        # The size of batches is known by now.
        self.images.cells.limit = self._cells(self.pool.max_batch)


def _cells(slots: int, processes: int, max_batch: int) -> int:
    """How many crops there may be at a time.

    Returns:
        For each slot the batch that it computes and its next one, and what is being decoded.
    """
    return slots * 2 * max_batch + processes * (1 + LANES)
