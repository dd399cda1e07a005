"""Everything between an image and its categories, for one model at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING

from worker.contract.jobs import ModelIdentity
from worker.engine.model_slots import ModelSlots
from worker.engine.pipeline import Pipeline
from worker.failpoints import Failpoints
from worker.images.fetch import ImageFetcher
from worker.imaging.images import ImageProcesses
from worker.imaging.nursery import Nursery
from worker.inference.placement import Placement, available_cores
from worker.inference.pool import PredictorPool
from worker.metrics import Metrics
from worker.model import ModelSpec
from worker.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from worker.contract.jobs import Category
    from worker.drift.watch import DriftWatch
    from worker.engine.content import Encoded
    from worker.engine.shadow import Shadow
    from worker.tracing.tracer import Tracer

__all__ = ["Engine"]


class Engine:
    """The fetcher, the processes of the model that serves, and the pipeline through them.

    For one event loop, in which any number of engines may work side by side. The slots of another
    model can be made beside those that serve, and take their place.

    Args:
        placements: device and threads of each predictor.
        failpoints: faults to inject, for tests.
        capacity: most images of one batch, for callers that bound each image's batch themselves
            (`classify`'s `most`); None leaves batches to `settings.batching`.
        nursery: forks the first model's image processes; started here if it was not before.
        tracer: makes spans of jobs' stages and of batches; None without tracing.
        drift: compares answers with a baseline; None without one.

    Attributes:
        process: takes a job to its outcome, as `Pipeline.process` does.
        classify: takes an image to its categories, as `Pipeline.classify` does.
        fetch: brings the bytes at a URL, as `ImageFetcher.fetch` does.
        shadow: is offered the images that jobs bring; None without one.
    """

    def __init__(  # noqa: PLR0913 - all that works with a model meets here
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
        drift: DriftWatch | None = None,
    ) -> None:
        self._drift = drift
        self.shadow: Shadow | None = None
        self._cores = available_cores()
        self._fetcher = ImageFetcher(settings.fetch, on_failed_attempt=metrics.fetch_attempts.inc)
        self._metrics = metrics
        self._make = partial(
            ModelSlots,
            placements=placements,
            settings=settings,
            failpoints=failpoints,
            capacity=capacity,
            tracer=tracer,
        )
        self._slots = self._make(spec, metrics=metrics, nursery=nursery)
        self._show(self._slots)
        # Invariant: all sets of slots that may have processes.
        self._sets = [self._slots]
        pipeline = Pipeline(
            lambda: self._slots.serving,
            self._fetcher,
            settings,
            metrics,
            tracer=tracer,
            offer=self._offer,
        )
        self.process = pipeline.process
        self.classify = pipeline.classify
        self.fetch = self._fetcher.fetch

    @property
    def spec(self) -> ModelSpec:
        """The model that serves."""
        return self._slots.spec

    @property
    def pool(self) -> PredictorPool:
        """The predictors of the model that serves."""
        return self._slots.pool

    @property
    def images(self) -> ImageProcesses:
        """The image processes of the model that serves."""
        return self._slots.images

    @property
    def identity(self) -> ModelIdentity:
        """The model that serves as results name it; without a backend before the start."""
        return self._slots.identity

    @property
    def pids(self) -> list[int]:
        """The predictor processes that are up, those of all models."""
        shadows = [] if self.shadow is None else self.shadow.pids
        return [*(pid for slots in self._sets for pid in slots.pool.pids), *shadows]

    def idle_cores(self) -> int:
        """Count the cores that nothing here uses now.

        Returns:
            0 unless a slot of the model that serves is idle, and while another one is made or ends.
        """
        if len(self._sets) > 1:
            return 0
        return max(0, self.pool.idle_cores(self._cores) - self.images.busy)

    def stalled(self) -> bool:
        """Whether a slot of the model that serves is stuck, as `PredictorPool.stalled` tells."""
        return self._slots.pool.stalled()

    def images_stalled(self) -> bool:
        """Whether no image process could be had for a while."""
        return self._slots.images.stalled

    async def start(self, stack: AsyncExitStack) -> None:
        """Start all parts; `stack` stops them in reverse, with all slots that were made since.

        Raises:
            ModelError: a predictor process cannot load the model.
            UnfitSystemError: a process says which library the system lacks.
            PredictorError: a predictor process died or hung while it started.
            OSError: the system has no room for another process.
        """
        await stack.enter_async_context(self._fetcher)
        stack.push_async_callback(self._stop)
        await self._slots.start()

    def make_slots(self, spec: ModelSpec, metrics: Metrics | None = None) -> ModelSlots:
        """Make slots of another model beside those that serve; they are yet to be started.

        They are the caller's, to `serve` or to `end`.

        Args:
            metrics: count what is computed there; the engine's own if None, as for slots that are
                about to serve.

        Raises:
            ModelError: the model's crop is larger than any image that it is cut out of.
        """
        slots = self._make(spec, metrics=metrics or self._metrics)
        self._sets.append(slots)
        return slots

    def read_baseline(self) -> None:
        """Read the drift baseline again, for a model that is about to serve. Blocks."""
        if self._drift is not None:
            self._drift.read_again()

    def serve(self, slots: ModelSlots) -> ModelSlots:
        """Have slots that were started serve all jobs whose images come from now on.

        Returns:
            Those that have served until now. Jobs that have begun there end there: `retire` it.
        """
        former, self._slots = self._slots, slots
        self._show(slots)
        return former

    async def retire(self, slots: ModelSlots, within: float) -> None:
        """Wait until no job is left in slots that serve no longer, and end them.

        Jobs that are still there when `within` seconds are over begin again, with what serves now.
        Cancelling leaves the slots there until the engine ends, for the jobs in them.
        """
        await slots.serving.drained(within)
        await self.end(slots)

    async def end(self, slots: ModelSlots) -> None:
        """End slots that serve no job: those made beside others, or those that were replaced."""
        assert slots is not self._slots, "the worker would have no model"
        await slots.stop()
        # Not before, so that their processes are among those that must not outlive the worker.
        self._sets.remove(slots)

    def _offer(
        self,
        spec: ModelSpec,
        image: Encoded,
        crop: npt.NDArray[np.uint8],
        best: Category | None,
    ) -> None:
        if self.shadow is not None:
            self.shadow.offer(spec, image, crop, best)

    def _show(self, slots: ModelSlots) -> None:
        """Have the metrics show this model and what it answers."""
        if self._drift is not None:
            slots.serving.compare(self._drift.watch(slots.spec))
        slots.show()

    async def _stop(self) -> None:
        await asyncio.gather(*(slots.stop() for slots in self._sets))
