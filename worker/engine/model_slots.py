"""The processes of one model: predictors in their slots, and those that decode images for them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from worker.contract.jobs import ModelIdentity
from worker.engine.serving import ServingModel
from worker.failpoints import Failpoints
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

__all__ = ["ModelSlots"]


class ModelSlots:
    """A model's predictors and image processes; any number of these work side by side.

    They share nothing: an image is transformed for one model, into the memory from which that
    model's predictors read, and a process that is lost is made up for among its own.

    Args:
        placements: device and threads of each predictor.
        failpoints: faults to inject, for tests.
        metrics: counts what is computed here. Those of a worker show the memory and the load of the
            set that was told to `show` itself last.
        capacity: most images of one batch, for callers that bound each image's batch themselves;
            None leaves batches to `settings.batching`.
        nursery: forks image processes; one is started here if there is none.
        tracer: makes spans of batches; None without tracing.

    Attributes:
        pool: the predictors.
        images: the image processes.
        serving: what jobs need of the model.

    Raises:
        ModelError: the model's crop is larger than any image that it is cut out of.
        SettingsError: `predictor.backend` does not go with the device.
        UnfitSystemError: it is not installed.
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
        self._slots = len(placements)
        self._processes = settings.decode.processes or available_cores()
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
        self.images = ImageProcesses(
            spec,
            self._processes,
            self._cells(),
            settings.decode,
            metrics,
            failpoints,
            nursery=nursery,
        )
        self.serving = ServingModel(spec, self.pool, self.images, metrics)

    @property
    def spec(self) -> ModelSpec:
        """What the model's files say."""
        return self.serving.spec

    @property
    def identity(self) -> ModelIdentity:
        """The model as results name it; without a backend before the start."""
        return self.serving.identity

    def show(self) -> None:
        """Have the metrics show the load and the memory of these processes, and of no others."""
        self.pool.show()
        self.images.show()
        # Its series are there before the first answer.
        _ = self.serving.answers

    async def start(self) -> None:
        """Start all processes; `stop` is due even if that fails.

        Raises:
            ModelError: a predictor process cannot load the model.
            UnfitSystemError: a process says which library the system lacks.
            PredictorError: a predictor process died or hung while it started.
            OSError: the system has no room for another process.
        """
        starting = self.pool.start(), self.images.start()
        for error in await asyncio.gather(*starting, return_exceptions=True):
            if error is not None:
                raise error
        # The size of batches is known by now.
        self.images.cells.limit = self._cells()

    async def stop(self) -> None:
        """End all processes, at once; who waits for an answer gets none."""
        try:
            await self.pool.stop()
        finally:
            self.images.stop()

    def _cells(self) -> int:
        """How many crops there may be at a time.

        Returns:
            For each slot the batch that it computes and its next one, and what is being decoded.
        """
        return self._slots * 2 * self.pool.max_batch + self._processes * (1 + LANES)
