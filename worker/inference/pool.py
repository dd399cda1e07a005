"""The predictor pool: slots that serve one batcher."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from worker.errors import JobError, Reason
from worker.failpoints import Failpoints
from worker.inference.batcher import Batcher
from worker.inference.isolation import Poisoned
from worker.inference.placement import Placement
from worker.inference.slot import Slot
from worker.inference.supervisor import Crop, Scores, SlotSupervisor
from worker.logs import get_logger
from worker.metrics import Metrics
from worker.model import ModelSpec
from worker.settings import BatchingSettings, PredictorSettings

__all__ = ["PredictorPool"]

log = get_logger(__name__)


class PredictorPool:
    """Predictor slots behind one batcher; for one event loop.

    Args:
        spec: the model to load in every slot.
        placements: device and threads of each slot.
        capacity: most images of one batch, where each image says how large its batch may be
            (`classify`'s `most`) and nothing is measured at the start; None leaves both to
            `batching`.
    """

    def __init__(
        self,
        spec: ModelSpec,
        placements: Sequence[Placement],
        predictor: PredictorSettings,
        batching: BatchingSettings,
        metrics: Metrics,
        failpoints: Failpoints,
        *,
        capacity: int | None = None,
    ) -> None:
        self._metrics = metrics
        self._batching = batching
        self._calibrates = capacity is None
        capacity = capacity or batching.max_batch or batching.calibration_limit
        self._batcher: Batcher[Crop, Scores | Poisoned] = Batcher(capacity, batching.linger)
        metrics.ready_images.set_function(lambda: len(self._batcher))
        self._input_size = spec.input_size
        self._supervisors = [
            SlotSupervisor(
                Slot(
                    spec,
                    placement.device,
                    threads=placement.threads,
                    capacity=capacity,
                    timeout=predictor.timeout,
                    start_timeout=predictor.start_timeout,
                    failpoints=failpoints,
                ),
                index,
                self._batcher,
                predictor.timeout + predictor.start_timeout,
                metrics,
            )
            for index, placement in enumerate(placements)
        ]

    async def start(self) -> None:
        """Start all slots; unless batches are bounded by `capacity`, choose the largest batch.

        Raises:
            ModelError: a predictor process cannot load the model.
            PredictorError: a predictor process died or hung while it started.
            OSError: the system has no room for another process.
        """
        await asyncio.gather(*(supervisor.start() for supervisor in self._supervisors))
        if self._calibrates:
            await self._calibrate()
        for supervisor in self._supervisors:
            supervisor.serve()

    async def _calibrate(self) -> None:
        calibrations = await asyncio.gather(
            *(
                supervisor.calibrate(self._input_size, self._batching)
                for supervisor in self._supervisors
            )
        )
        # The slots measured side by side, as they will work; the slowest choice serves all.
        chosen = min(calibrations, key=lambda calibration: calibration.max_batch)
        self._batcher.max_batch = chosen.max_batch
        for row in chosen.rows:
            log.info(
                "calibrated",
                batch=row.size,
                milliseconds=round(row.seconds * 1000, 1),
                images_per_second=round(row.size / row.seconds * len(self._supervisors), 1),
                chosen=row.size == chosen.max_batch,
            )

    @property
    def backend(self) -> str:
        """What computes: `paddle+onednn`, `paddle`; empty before the start."""
        return ",".join(sorted({supervisor.backend for supervisor in self._supervisors}))

    async def classify(self, crop: Crop, urgency: float, most: int | None = None) -> Scores:
        """Scores `[C] float32` of a crop `[H, W, 3] uint8`; cancelling withdraws it while it waits.

        Args:
            urgency: seconds on any clock common to all callers; the smallest is served first.
            most: images of the largest batch that it may be in; None leaves it to the pool.

        Raises:
            JobError: the image breaks the predictor even alone.
        """
        answer = await self._batcher.submit(crop, urgency, most).result
        if isinstance(answer, Poisoned):
            raise JobError(
                Reason.POISON,
                f"the predictor failed on this image alone: {answer.error}",
                attempts=answer.attempts,
            )
        return answer

    def stalled(self) -> bool:
        """Whether a slot is busy or down for longer than a time-out and a restart can take."""
        return any(supervisor.stalled for supervisor in self._supervisors)

    @property
    def pids(self) -> list[int]:
        """The predictor processes that are up."""
        return [supervisor.pid for supervisor in self._supervisors if supervisor.pid is not None]

    async def stop(self) -> None:
        """Kill the predictor processes, which hold no state; who still waits gets no answer."""
        # All at once, and before any is waited for: a busy slot's thread waits for its process.
        for supervisor in self._supervisors:
            supervisor.interrupt()
        await asyncio.gather(*(supervisor.stop() for supervisor in self._supervisors))
        self._metrics.predictor_slots.set(0)
