"""What computes: everything between a job and its outcome, for one model."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack

from worker.engine.pipeline import Pipeline
from worker.failpoints import Failpoints
from worker.images.fetch import ImageFetcher
from worker.images.threads import ImageThreads
from worker.inference.placement import Placement, available_cores
from worker.inference.pool import PredictorPool
from worker.metrics import Metrics
from worker.model import ModelSpec
from worker.settings import Settings

__all__ = ["Engine"]


class Engine:
    """The fetcher, the threads for images, the predictors, and the pipeline through them.

    For one event loop.

    Args:
        placements: device and threads of each predictor.
        failpoints: faults to inject, for tests.

    Attributes:
        pool: the predictors.
        process: takes a job to its outcome, as `Pipeline.process` does.
    """

    def __init__(
        self,
        spec: ModelSpec,
        placements: Sequence[Placement],
        settings: Settings,
        failpoints: Failpoints,
        metrics: Metrics,
    ) -> None:
        self._fetcher = ImageFetcher(settings.fetch, on_failed_attempt=metrics.fetch_attempts.inc)
        threads = settings.decode.threads or available_cores()
        self._threads = ImageThreads(threads, settings.decode.timeout, metrics)
        self.pool = PredictorPool(
            spec, placements, settings.predictor, settings.batching, metrics, failpoints
        )
        pipeline = Pipeline(
            spec, self._fetcher, self.pool, self._threads, settings, metrics, failpoints=failpoints
        )
        self.process = pipeline.process

    def images_stalled(self) -> bool:
        """Whether a thread decodes or draws one image for longer than `decode.timeout`."""
        return self._threads.stalled

    async def start(self, stack: AsyncExitStack) -> None:
        """Bring it up; `stack` takes it down in reverse.

        Raises:
            ModelError: a predictor process cannot load the model.
            PredictorError: a predictor process died or hung while it started.
            OSError: the system has no room for another process.
        """
        await stack.enter_async_context(self._fetcher)
        stack.callback(self._threads.shutdown)
        stack.push_async_callback(self.pool.stop)
        await self.pool.start()
