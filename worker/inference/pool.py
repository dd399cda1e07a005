"""The predictor pool: slots that serve one batcher, stay alive, and isolate poison images."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import structlog

from worker.errors import (
    JobError,
    ModelError,
    PredictorCrashedError,
    PredictorError,
    PredictorTimeoutError,
    Reason,
    Stage,
)
from worker.failpoints import Failpoints
from worker.inference.batcher import Batcher, Ticket
from worker.inference.calibration import calibrate
from worker.inference.isolation import Poisoned, run_isolated
from worker.inference.placement import Placement
from worker.inference.slot import Slot
from worker.metrics import BATCH_WAIT, Metrics
from worker.model import ModelSpec
from worker.settings import BatchingSettings, PredictorSettings

__all__ = ["PredictorPool"]

T = TypeVar("T")

Crop = npt.NDArray[np.uint8]
Scores = npt.NDArray[np.float32]

RESTART_BACKOFF = (0.5, 30.0)
"""Seconds before a predictor that cannot start is tried again: first, and at most (it doubles)."""

log = structlog.get_logger(__name__)


class _SlotDownError(Exception):
    """The slot's process cannot be brought up; no image is to blame."""


class PredictorPool:
    """Predictor slots behind one batcher; for one event loop.

    Args:
        spec: the model to load in every slot.
        placements: device and threads of each slot.
    """

    def __init__(
        self,
        spec: ModelSpec,
        placements: Sequence[Placement],
        predictor: PredictorSettings,
        batching: BatchingSettings,
        metrics: Metrics,
        failpoints: Failpoints,
    ) -> None:
        self._metrics = metrics
        self._batching = batching
        self._capacity = batching.max_batch or batching.calibration_limit
        self._batcher: Batcher[Crop, Scores | Poisoned] = Batcher(self._capacity, batching.linger)
        self._slots = [
            Slot(
                spec,
                placement.device,
                threads=placement.threads,
                capacity=self._capacity,
                timeout=predictor.timeout,
                start_timeout=predictor.start_timeout,
                failpoints=failpoints,
            )
            for placement in placements
        ]
        self._input_size = spec.input_size
        self._executors = [
            ThreadPoolExecutor(1, f"slot-{index}") for index in range(len(self._slots))
        ]
        self._tasks: list[asyncio.Task[None]] = []
        # Invariant: holds, for each slot with a batch, the monotonic time by which it must have
        # made progress.
        self._due: dict[int, float] = {}
        self._patience = predictor.timeout + predictor.start_timeout + RESTART_BACKOFF[1]

    async def start(self) -> None:
        """Start all slots, warm them, and choose the largest batch.

        Raises:
            ModelError: a predictor process cannot load the model.
            PredictorError: a predictor process died or hung while it started.
        """
        await asyncio.gather(
            *(self._in_thread(index, slot.start) for index, slot in enumerate(self._slots))
        )
        self._metrics.predictor_slots.set(len(self._slots))
        calibrations = await asyncio.gather(
            *(
                self._in_thread(
                    index, partial(calibrate, slot.run, self._input_size, self._batching)
                )
                for index, slot in enumerate(self._slots)
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
                images_per_second=round(row.size / row.seconds * len(self._slots), 1),
                chosen=row.size == chosen.max_batch,
            )
        self._tasks = [
            asyncio.create_task(self._serve(index), name=f"slot-{index}")
            for index in range(len(self._slots))
        ]

    async def classify(self, crop: Crop, urgency: float) -> Scores:
        """Scores `[C] float32` of a crop `[H, W, 3] uint8`; cancelling withdraws it while it waits.

        Args:
            urgency: seconds on any clock common to all callers; the smallest is served first.

        Raises:
            JobError: the image breaks the predictor even alone.
        """
        ticket = self._batcher.submit(crop, urgency)
        self._metrics.ready_images.set(len(self._batcher))
        answer = await ticket.result
        if isinstance(answer, Poisoned):
            raise JobError(
                Reason.POISON,
                f"the predictor failed on this image alone: {answer.error}",
                attempts=answer.attempts,
            )
        return answer

    def stalled(self, now: float | None = None) -> bool:
        """Whether a slot holds a batch for longer than a time-out and a restart can take."""
        return any(due < (time.monotonic() if now is None else now) for due in self._due.values())

    @property
    def pids(self) -> list[int]:
        """The predictor processes that are up."""
        return [slot.pid for slot in self._slots if slot.pid is not None]

    async def stop(self) -> None:
        """Kill the predictor processes, which hold no state; who still waits gets no answer."""
        for task in self._tasks:
            task.cancel()
        # A busy slot's thread waits for its process: killing that ends the wait.
        for slot in self._slots:
            slot.interrupt()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(
            *(self._in_thread(index, slot.kill) for index, slot in enumerate(self._slots))
        )
        for executor in self._executors:
            executor.shutdown(wait=False)
        self._metrics.predictor_slots.set(0)

    async def _serve(self, index: int) -> None:
        """Take batch after batch for one slot."""
        backoff, limit = RESTART_BACKOFF
        while True:
            batch = await self._batcher.take()
            self._metrics.ready_images.set(len(self._batcher))
            self._metrics.batches.labels(batch.reason).inc()
            self._due[index] = time.monotonic() + self._patience
            try:
                await self._answer(index, batch.tickets)
                backoff = RESTART_BACKOFF[0]
            except _SlotDownError as error:
                waiting = [ticket for ticket in batch.tickets if not ticket.result.done()]
                self._batcher.put_back(waiting)
                log.error("predictor_down", slot=index, error=str(error), retry_in_seconds=backoff)
                await asyncio.sleep(backoff)
                backoff = min(backoff * 2, limit)
            finally:
                del self._due[index]

    async def _answer(self, index: int, tickets: Sequence[Ticket[Crop, Scores | Poisoned]]) -> None:
        now = asyncio.get_running_loop().time()
        for ticket in tickets:
            self._metrics.stages.labels(BATCH_WAIT).observe(max(0.0, now - ticket.ready_at))
        answers = await run_isolated(partial(self._run, index), [ticket.item for ticket in tickets])
        for ticket, answer in zip(tickets, answers, strict=True):
            # A withdrawn image's future is cancelled: nobody waits for its answer.
            if not ticket.result.done():
                ticket.result.set_result(answer)

    async def _run(self, index: int, crops: Sequence[Crop]) -> list[Scores]:
        """One run of one slot, its process brought up first.

        Raises:
            PredictorError: the run failed.
            _SlotDownError: the process cannot be started.
        """
        slot = self._slots[index]
        self._due[index] = time.monotonic() + self._patience
        if not slot.running:
            try:
                await self._in_thread(index, slot.start)
            except (PredictorError, ModelError, OSError) as error:
                raise _SlotDownError(str(error)) from error
            self._metrics.predictor_slots.inc()
        try:
            scores, seconds = await self._in_thread(index, partial(slot.run, crops))
        except PredictorError as error:
            self._note_failure(index, error, len(crops))
            raise
        self._metrics.images.inc(len(crops))
        self._metrics.batch_size.observe(len(crops))
        for _ in crops:
            self._metrics.stages.labels(Stage.INFER).observe(seconds)
        return list(scores)

    def _note_failure(self, index: int, error: PredictorError, images: int) -> None:
        log.warning("batch_failed", slot=index, images=images, error=str(error))
        match error:
            case PredictorCrashedError():
                self._metrics.predictor_restarts.labels("crash").inc()
            case PredictorTimeoutError():
                self._metrics.predictor_restarts.labels("timeout").inc()
            case _:
                return
        self._metrics.predictor_slots.dec()

    async def _in_thread(self, index: int, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executors[index], call)
