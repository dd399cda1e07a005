"""Supervises one slot: starts its process, feeds it batches, and isolates poison images."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from typing import TYPE_CHECKING

from worker.clock import SYSTEM_CLOCK, Clock
from worker.errors import (
    ModelError,
    PredictorCrashedError,
    PredictorError,
    PredictorTimeoutError,
    Stage,
    UnfitSystemError,
)
from worker.inference.arrays import Pixels, Scores
from worker.inference.batcher import Batch, Batcher
from worker.inference.calibration import (
    Measurement,
    RunTime,
    Window,
    measure_sizes,
    noise,
    run_for,
    solo_pays,
)
from worker.inference.isolation import Poisoned, run_isolated
from worker.inference.protocol import BackendName
from worker.inference.slot import Slot
from worker.inference.slot_thread import SlotThread
from worker.inference.work import Work
from worker.logs import get_logger
from worker.metrics import Metrics
from worker.metrics.labels import BATCH_WAIT
from worker.retry import Retry
from worker.settings import BatchingSettings

if TYPE_CHECKING:
    from worker.tracing.tracer import Tracer

__all__ = ["SlotSupervisor"]

RESTARTS = Retry(first=0.5, longest=30.0)
"""When a predictor that cannot start is tried again."""

log = get_logger(__name__)


class _SlotDownError(Exception):
    """The slot's process cannot be brought up; no image is to blame."""


class SlotSupervisor:
    """Owns one slot and the thread that drives it; for one event loop.

    Args:
        slot: blocks; only ever called in the thread.
        index: names it in logs.
        patience: seconds that one run may take, the start of a process before it included.
        others: how many other slots the batcher has.
        tracer: makes spans of batches; None without tracing.
        clock: what pauses and the watch over progress go by.

    Attributes:
        solo: whether there is a second copy of the network: for an image that comes while all slots
            are idle, on all cores; or, once cores are shared (`share`), for all others.
    """

    def __init__(
        self,
        slot: Slot,
        index: int,
        batcher: Batcher[Pixels, Scores | Poisoned],
        patience: float,
        metrics: Metrics,
        *,
        others: int = 0,
        tracer: Tracer | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._slot = slot
        self._others = others
        self.solo = False
        self._shares = False
        # Invariant: the process that has the second copy; 0 is none's.
        self._solo_pid: int | None = 0
        self._index = index
        self._batcher = batcher
        self._patience = patience + RESTARTS.longest
        self._metrics = metrics
        self._tracer = tracer
        self._clock = clock
        self._thread = SlotThread(slot, index)
        self._serving: asyncio.Task[None] | None = None
        self._stopped = False
        # Invariant: whether the metrics count the process as up.
        self._counted = False
        # Invariant: while the slot is busy or down, when it must have made progress; else None.
        self._due: float | None = None
        self._busy = 0.0
        self._busy_since: float | None = None
        # Found once: looking them up takes longer than counting.
        self._waited = metrics.stages.labels(BATCH_WAIT)
        self._inferred = metrics.stages.labels(Stage.INFER)

    async def load(
        self,
        backend: BackendName,
        within: float | None = None,
        *,
        solo_threads: int = 0,
        threads: int = 0,
    ) -> None:
        """Start the process with a backend, which may be a trial; see `start`.

        Args:
            within: seconds that it may take, where that is less than the slot's time-out.
            solo_threads: CPU threads for an image that comes while all slots are idle; 0 for those
                of any batch. Only one slot should have them: it is given such images.
            threads: CPU threads for all others; 0 for those that the slot was made with.

        Raises:
            ModelError: it cannot load the model.
            PredictorError: it died or hung.
            OSError: the system has no room for another process.
        """

        def load() -> None:
            self._slot.choose(backend, solo_threads, threads)
            self._slot.start(within)

        self.solo = solo_threads > 0
        await self._thread.call(load)

    async def choose(self, backend: BackendName) -> None:
        """Have the process that is started next compute with a backend."""
        await self._thread.call(partial(self._slot.choose, backend))

    async def share(self, others: int) -> None:
        """Leave cores to slots that have come up since this one was loaded, on all of them.

        From now on it keeps those for an image that comes while all slots are idle, and computes
        all else on the threads that it was made with, by a second copy of the network.

        Args:
            others: how many other slots there are now.
        """
        await self._thread.call(self._slot.share)
        self._others = others
        self.solo = self._shares = True

    async def measure(self, pixels: Sequence[Pixels], seconds: float, part: int = 0) -> Window:
        """Run a batch again and again, at least once, until `seconds` are over.

        Args:
            part: images that are computed at once; 0 for all.

        Returns:
            What the runs took.

        Raises:
            PredictorError: a run failed.
        """
        run = partial(self._slot.time, part=part)
        return await self._thread.call(partial(run_for, run, pixels, seconds))

    async def start(self) -> None:
        """Have the process up, with the backend that was loaded last, and count it as up.

        Raises:
            ModelError: it cannot load the model.
            PredictorError: it died or hung.
            OSError: the system has no room for another process.
        """
        await self._thread.call(self._slot.start)
        self._count(up=True)
        log.info("predictor_loaded", slot=self._index, backend=self._slot.backend)

    @property
    def whole(self) -> bool:
        """Whether its device computes batches best whole, rather than in parts."""
        return self._slot.whole

    @property
    def backend(self) -> str:
        """What computes, such as `paddle+onednn` or `onnxruntime`."""
        return self._slot.backend

    async def measure_sizes(
        self, input_size: tuple[int, int], batching: BatchingSettings
    ) -> tuple[Measurement, ...]:
        """Warm the predictor, and measure how many images are best computed at once.

        Args:
            input_size: `(H, W)` in pixels.

        Returns:
            The measurements.

        Raises:
            PredictorError: a run failed.
        """
        slot = self._slot
        run = partial(
            measure_sizes,
            slot.time,
            input_size,
            batching,
            whole=slot.whole,
            threads=slot.threads,
        )
        return await self._thread.call(run)

    def compute_in_parts(self, part: int) -> None:
        """Have batches computed so many images at once from now on; 0 for all."""
        self._slot.part = part

    async def solo_pays(self, input_size: tuple[int, int]) -> bool:
        """Measure whether an image alone is answered sooner on the `solo_threads` of `load`.

        Args:
            input_size: `(H, W)` in pixels.

        Returns:
            Whether it is, by enough to hold the network in memory twice; not if a run failed.
        """

        def measure() -> bool:
            # Loads the second copy, which may take as long as a start.
            self._slot.prepare_solo()
            run_solo = partial(self._slot.time, solo=True)
            return solo_pays(self._slot.time, run_solo, input_size)

        try:
            return await self._thread.call(measure)
        except PredictorError as error:
            # As for want of memory, in which batches can still be computed.
            self._note_failure(error, 1)
            return False

    async def drop_solo(self) -> None:
        """Compute images alone as batches are computed, and free what was held for them.

        Raises:
            PredictorError: the process died or hung.
        """
        self.solo = False
        await self._thread.call(self._slot.drop_solo)

    async def warm(self, input_size: tuple[int, int], part: int) -> None:
        """Run what will be run: an image, and a whole part.

        Args:
            input_size: `(H, W)` in pixels.
            part: images that are computed at once.

        Raises:
            PredictorError: a run failed.
        """
        images = noise(part, input_size)

        def run() -> list[RunTime]:
            return [self._slot.time(images[:size]) for size in sorted({1, part})]

        await self._thread.call(run)

    def serve(self) -> None:
        """Take batch after batch from now on, until `stop`."""
        self._serving = asyncio.create_task(self._serve(), name=f"slot-{self._index}")

    def interrupt(self) -> None:
        """Begin to stop: callers wait for the process no longer."""
        if self._serving is not None:
            self._serving.cancel()
        self._slot.interrupt()

    async def stop(self) -> None:
        """End the process and the thread; images that it has are left without an answer."""
        if self._stopped:
            return
        self._stopped = True
        self.interrupt()
        if self._serving is not None:
            await asyncio.gather(self._serving, return_exceptions=True)
        await self._thread.call(self._slot.kill)
        self._thread.shut_down()
        self._count(up=False)

    @property
    def pid(self) -> int | None:
        """The predictor process, or None while there is none."""
        return self._slot.pid

    @property
    def busy(self) -> bool:
        """Whether a batch is being computed."""
        return self._busy_since is not None

    @property
    def busy_seconds(self) -> float:
        """Seconds in which batches were computed, up to now."""
        since = self._busy_since
        return self._busy + (0.0 if since is None else self._clock.monotonic() - since)

    @property
    def stalled(self) -> bool:
        """Whether the slot is busy or down for longer than a time-out and a restart can take."""
        return self._due is not None and self._due < self._clock.monotonic()

    async def _serve(self) -> None:
        finished: Work | None = None
        following: Work | None = None
        while True:
            # A slot that is down takes no batch: others can answer it.
            if following is not None and not self._slot.running:
                self._put_back(following.batch)
                following = None
            if following is None and finished is not None:
                self._finish(finished)
                finished = None
            await self._bring_up()
            await self._prepare_solo()
            if not self._slot.running:
                continue
            work = following or Work(await self._batcher.take(preferred=self.solo))
            if self._thread.stages:
                following = await self._compute_and_stage(work, finished)
            else:
                await self._compute(work)
            finished = work

    def _finish(self, work: Work) -> None:
        """Hand out a batch's answers, and have them counted once their callers have gone on."""
        work.hand_out()
        asyncio.get_running_loop().call_soon(self._count_images, work)

    async def _compute_and_stage(self, work: Work, before: Work | None) -> Work | None:
        """Compute a batch, and put the next one together meanwhile if one becomes full.

        Args:
            before: the batch that was computed before, if its answers are not handed out yet.

        Returns:
            The next one.
        """
        computing = asyncio.create_task(self._compute(work))
        following: Work | None = None
        try:
            if before is not None:
                # The run begins first: what callers do with their answers takes the loop for
                # milliseconds, for which the device would wait.
                self._finish(before)
            if batch := await self._batcher.take_full(computing):
                following = Work(batch, 1 - work.buffer)
                crops = [ticket.item for ticket in batch.tickets]
                # Images that do not fit are found, and answered for, when they are computed.
                with suppress(ValueError):
                    following.staged = await self._thread.stage(crops, following.buffer)
            await computing
        finally:
            if not computing.done():
                computing.cancel()
                await asyncio.wait([computing])
        return following

    async def _compute(self, work: Work) -> None:
        batch = work.batch
        self._metrics.batches.labels(batch.reason).inc()
        try:
            with self._span(work):
                await self._answer(work)
        except _SlotDownError as error:
            log.error("predictor_down", slot=self._index, error=str(error))
            self._put_back(batch)
        except Exception as error:
            # A bug must neither end this loop nor leave a caller waiting forever.
            log.exception("slot_raised", slot=self._index)
            work.fail(error)
        finally:
            self._due = None

    def _put_back(self, batch: Batch[Pixels, Scores | Poisoned]) -> None:
        self._batcher.put_back([ticket for ticket in batch.tickets if not ticket.result.done()])

    async def _bring_up(self) -> None:
        """Start the process if it is down, however many attempts that takes."""
        pauses = RESTARTS.pauses(self._clock)
        # Set once: a process that never comes up makes no progress, however often it is tried.
        self._due = self._clock.monotonic() + self._patience
        while not self._slot.running:
            try:
                await self._start_again()
            except _SlotDownError as error:
                pause = next(pauses)
                log.error(
                    "predictor_down",
                    slot=self._index,
                    error=str(error),
                    retry_in_seconds=pause,
                )
                await self._clock.sleep(pause)
        self._due = None

    async def _prepare_solo(self) -> None:
        """Load the copy of the network for single images, once in each process, or try it again.

        Not before the worker is ready, which other slots are without it.
        """
        if not self.solo or self._solo_pid == self.pid:
            return
        self._solo_pid = self.pid
        self._due = self._clock.monotonic() + self._patience
        try:
            await self._thread.call(self._slot.prepare_solo)
        except PredictorError as error:
            self._note_failure(error, 1)
            self.solo = False
        self._due = None

    async def _answer(self, work: Work) -> None:
        batch = work.batch
        work.waited = [seconds for _, seconds in work.waits()]
        # While all other slots are idle, their cores are too.
        alone = len(batch.tickets) == 1 and batch.idle_slots == self._others
        solo = self.solo and alone is not self._shares
        run = partial(self._run, work=work, solo=solo)
        work.answers = await run_isolated(run, [ticket.item for ticket in batch.tickets])

    def _span(self, work: Work) -> AbstractContextManager[None]:
        if self._tracer is None:
            return nullcontext()
        waits = [(origin, seconds) for origin, seconds in work.waits() if origin is not None]
        return self._tracer.infer(waits, slot=self._index, closed=work.batch.reason)

    async def _run(self, crops: Sequence[Pixels], *, work: Work, solo: bool) -> list[Scores]:
        """One run of a batch, or of some of its images, the process brought up first.

        Raises:
            PredictorError: the run failed.
            _SlotDownError: the process cannot be started.
        """
        self._due = self._clock.monotonic() + self._patience
        if not self._slot.running:
            await self._start_again()
        # Not in a process that has just been started: loading a second copy of the network there
        # would take this image's time, and a failure to do so would be blamed on it.
        solo = solo and self._solo_pid == self.pid
        self._busy_since = self._clock.monotonic()
        # The first run is of the whole batch; what a run left behind is not trusted again.
        staged, work.staged = work.staged, None
        try:
            scores, seconds = await self._thread.run(
                crops, solo=solo, buffer=work.buffer, staged=staged
            )
        except PredictorError as error:
            self._note_failure(error, len(crops))
            if solo:
                # It may be the second copy's fault: the image is tried with the first one, and the
                # second one without the image.
                self._solo_pid = 0
            raise
        finally:
            self._busy, self._busy_since = self.busy_seconds, None
        work.runs.append((len(crops), seconds))
        return list(scores)

    async def _start_again(self) -> None:
        try:
            await self.start()
        except (PredictorError, ModelError, UnfitSystemError, OSError) as error:
            raise _SlotDownError(str(error)) from error

    def _note_failure(self, error: PredictorError, images: int) -> None:
        log.warning("batch_failed", slot=self._index, images=images, error=str(error))
        if self._tracer is not None:
            self._tracer.note_failed_run(error, images)
        match error:
            case PredictorCrashedError():
                self._metrics.predictor_restarts.labels("crash").inc()
            case PredictorTimeoutError():
                self._metrics.predictor_restarts.labels("timeout").inc()
            case _:
                return
        self._count(up=False)

    def _count_images(self, work: Work) -> None:
        """Count what a batch's images have waited, and what was computed of them."""
        for seconds in work.waited:
            self._waited.observe(seconds)
        for images, seconds in work.runs:
            self._metrics.images.inc(images)
            self._metrics.batch_size.observe(images)
            for _ in range(images):
                self._inferred.observe(seconds)

    def _count(self, *, up: bool) -> None:
        """Note for the metrics whether the process is up. Other slots are counted there too."""
        if up != self._counted:
            self._counted = up
            self._metrics.predictor_slots.inc(1 if up else -1)
