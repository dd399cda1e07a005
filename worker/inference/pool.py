"""The predictor pool: slots that serve one batcher."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING

from worker.cache import cache_directory
from worker.device import Device
from worker.errors import JobError, PredictorError, Reason
from worker.failpoints import Failpoints
from worker.inference.arrays import Pixels, Scores
from worker.inference.batcher import Batcher
from worker.inference.calibration_cache import CalibrationCache
from worker.inference.choice import candidates, check_choice
from worker.inference.devices import gpu_names
from worker.inference.isolation import Poisoned
from worker.inference.late_slots import LateSlots
from worker.inference.placement import Placement, available_cores
from worker.inference.pool_calibration import PoolCalibration
from worker.inference.protocol import BackendName
from worker.inference.selection import BackendSelection, OnStep
from worker.inference.selection_cache import SelectionCache
from worker.inference.slot import Slot
from worker.inference.supervisor import SlotSupervisor
from worker.inference.trials import USUAL_BATCH, try_backends
from worker.metrics import Metrics
from worker.metrics.scraped import Samples
from worker.model import ModelSpec
from worker.runtime.other_load import OtherLoad
from worker.runtime.process_usage import ProcessUsage, process_usage
from worker.settings import BatchingSettings, PredictorSettings

if TYPE_CHECKING:
    from worker.tracing.tracer import Tracer

__all__ = ["PredictorPool"]

MOST_SOLO_THREADS = 16
"""CPU threads for one image; more wait for each other longer than they compute."""

MOST_SOLO_WEIGHTS = 1 << 29
"""Bytes of weights up to which one slot holds them twice, for images that come alone."""


class PredictorPool:
    """Predictor slots behind one batcher; for one event loop.

    Args:
        spec: the model to load in every slot.
        placements: device and threads of each slot; at least one.
        capacity: most images of one batch, where each image says how large its batch may be
            (`classify`'s `most`) and no batches are measured at the start; None leaves both to
            `batching`. On CPU the first slot then begins with the cores of all, and the others join
            it when images wait.
        tracer: makes spans of batches; None without tracing.

    Attributes:
        on_selecting: is told of each step when backends are measured, which takes a while.
        may_measure: whether `auto` measures backends where that was not done before; otherwise it
            takes what was selected before, else Paddle if that may compute there.
        unmeasured: whether Paddle was taken since nothing was selected before.
        alone: whether no other model serves while this one is measured.

    Raises:
        SettingsError: `predictor.backend` does not go with the device.
        UnfitSystemError: it is not installed.
        ModelError: it is `auto`, and nothing that is installed computes on the device.
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
        tracer: Tracer | None = None,
    ) -> None:
        check_choice(predictor.backend, placements[0].device, predictor.kernels)
        self._spec = spec
        self._placements = placements
        self._choice = predictor.backend
        self._kernels = predictor.kernels
        self._start_timeout = predictor.start_timeout
        self.on_selecting: OnStep = lambda *_: None
        self.may_measure = True
        self.unmeasured = False
        self.alone = True
        self._metrics = metrics
        self._tracer = tracer
        self._batching = batching
        # Predictors that answer at once tell nothing, least of all to workers that start later.
        self._measures = not failpoints.instant
        self._calibrates = capacity is None and self._measures
        joins_late = capacity is not None and placements[0].device.kind == "cpu"
        # Threads that the settings name are for all work of a slot.
        self._lends_cores = self._calibrates and predictor.threads == 0
        capacity = capacity or batching.max_batch or batching.calibration_limit
        self._batcher: Batcher[Pixels, Scores | Poisoned] = Batcher(capacity, batching.linger)
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
                    idle=placement.idle,
                    kernels=self._kernels,
                ),
                index,
                self._batcher,
                predictor.timeout + predictor.start_timeout,
                metrics,
                others=len(placements) - 1,
                tracer=tracer,
            )
            for index, placement in enumerate(placements)
        ]
        cache = CalibrationCache(
            cache_directory() / "calibration",
            spec.digest,
            placements,
            available_cores(),
            batching,
            lends_cores=self._lends_cores,
            kernels=self._kernels,
        )
        self._calibration = PoolCalibration(
            spec.input_size,
            self._supervisors,
            self._batcher,
            batching,
            # Records are by processor, which says nothing of other devices.
            cache if placements[0].device.kind == "cpu" else None,
            self._other_load,
        )
        self._late: LateSlots | None = None
        if joins_late and len(placements) > 1:
            first, *others = self._supervisors
            self._late = LateSlots(first, others)

    def show(self) -> None:
        """Have the metrics show these slots, and those of no other pool."""
        metrics = self._metrics
        metrics.ready_images.set_function(lambda: len(self._batcher))
        metrics.predictor_busy.read = self._busy
        metrics.predictor_cpu.read = lambda: self._usage(attrgetter("cpu_seconds"))
        metrics.predictor_memory.read = lambda: self._usage(attrgetter("resident_bytes"))

    async def start(self) -> None:
        """Choose the backend and start all slots.

        Unless batches are bounded by `capacity`, warm the slots and choose the largest batch too.

        Raises:
            ModelError: a predictor process cannot load the model, or not with the backend that
                `predictor.backend` names.
            PredictorError: a predictor process died or hung while it started.
            OSError: the system has no room for another process.
        """
        choice, on_gpu = self._choice, self._placements[0].device.kind == "gpu"
        try:
            backend = await self._select() if choice == "auto" else choice
            await self._load(backend)
        except PredictorError as error:
            if choice == "paddle" or (choice == "auto" and not on_gpu):
                raise
            name = "the backend" if choice == "auto" else choice
            remedy = "device to cpu" if on_gpu else "predictor.backend to auto or paddle"
            raise PredictorError(
                f"{name} could not be loaded, since {error}: set {remedy}"
            ) from error
        first = self._supervisors if self._late is None else self._supervisors[:1]
        await asyncio.gather(*(supervisor.start() for supervisor in first))
        if self._calibrates:
            self._calibration.decoders, self._calibration.alone = self._decoders(), self.alone
            await self._calibration.warm(backend, self._solo_threads())
        for supervisor in first:
            supervisor.serve()

    async def _load(self, backend: BackendName) -> None:
        solo_threads = self._solo_threads()
        if solo_threads:
            kept = await self._calibration.kept(backend)
            # It is loaded to be measured too.
            wanted = kept is None or kept.solo or not kept.settled
            solo_threads = solo_threads if wanted else 0
        first, *others = self._supervisors
        if self._late is not None:
            cores = sum(placement.threads for placement in self._placements)
            chosen = (supervisor.choose(backend) for supervisor in others)
            await asyncio.gather(first.load(backend, threads=cores), *chosen)
            return
        await asyncio.gather(
            first.load(backend, solo_threads=solo_threads),
            *(supervisor.load(backend) for supervisor in others),
        )

    def _solo_threads(self) -> int:
        """CPU threads of the first slot for an image that comes while all slots are idle.

        0 where a slot's own threads are all there are, or weights are too large to be held in
        memory once more.
        """
        device, threads = self._placements[0].device, self._placements[0].threads
        cores = min(available_cores(), MOST_SOLO_THREADS)
        if not self._lends_cores or device.kind != "cpu" or cores <= threads:
            return 0
        return cores if self._spec.params.stat().st_size <= MOST_SOLO_WEIGHTS else 0

    def _other_load(self, beside: Sequence[int] = ()) -> OtherLoad:
        cores = available_cores()
        needed = cores if beside else min(cores, sum(each.threads for each in self._placements))
        return OtherLoad(needed, lambda: (*self.pids, *beside))

    def _decoders(self) -> int:
        """Processes that are to decode while parts are measured: one for each core.

        None where a batch is computed whole, and where threads wait for each other, which only the
        clock shows.
        """
        suited = all(each.device.kind == "cpu" and each.threads == 1 for each in self._placements)
        return available_cores() if suited else 0

    @property
    def max_batch(self) -> int:
        """Images of the largest batch; before the start, of the largest that it may choose."""
        return self._batcher.max_batch

    @property
    def backend(self) -> str:
        """What computes, such as `paddle+onednn` or `onnxruntime`; empty before the start."""
        return ",".join(sorted({supervisor.backend for supervisor in self._supervisors} - {""}))

    async def classify(self, crop: Pixels, urgency: float, most: int | None = None) -> Scores:
        """Compute the scores of one image; cancelling withdraws it while it waits.

        Args:
            crop: `[H, W, 3] uint8`.
            urgency: seconds on any clock common to all callers; the smallest is served first.
            most: images of the largest batch that it may be in; None leaves it to the pool.

        Returns:
            `[C] float32`, 0 to 1.

        Raises:
            JobError: the image breaks the predictor even alone.
        """
        origin = None if self._tracer is None else self._tracer.origin()
        late = nullcontext() if self._late is None or self._batcher.idle else self._late.waiting()
        with late:
            answer = await self._batcher.submit(crop, urgency, most, origin).result
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

    def idle_cores(self, cores: int) -> int:
        """Count the cores that no slot uses.

        Args:
            cores: that there are.

        Returns:
            0 unless a slot is idle and no image waits for one.
        """
        busy = [supervisor.busy for supervisor in self._supervisors]
        if not self._batcher.idle or all(busy):
            return 0
        if self._supervisors[0].solo and busy[0]:
            # It may compute an image alone, on all of them.
            return 0
        used = zip(self._placements, busy, strict=True)
        return max(0, cores - sum(placement.threads for placement, is_busy in used if is_busy))

    @property
    def pids(self) -> list[int]:
        """The predictor processes that are up."""
        return [supervisor.pid for supervisor in self._supervisors if supervisor.pid is not None]

    def _busy(self) -> Samples:
        return [((str(slot),), one.busy_seconds) for slot, one in enumerate(self._supervisors)]

    def _usage(self, of: Callable[[ProcessUsage], float]) -> Samples:
        """What each slot's process uses; of one that is not up it is 0."""
        usages = [process_usage(supervisor.pid) for supervisor in self._supervisors]
        return [((str(slot),), of(usage)) for slot, usage in enumerate(usages)]

    async def stop(self) -> None:
        """Kill the predictor processes, which hold no state; callers that wait get no answer."""
        # All at once, and before any is waited for: a busy slot's thread waits for its process.
        for supervisor in self._supervisors:
            supervisor.interrupt()
        if self._late is not None:
            await self._late.stop()
        await asyncio.gather(*(supervisor.stop() for supervisor in self._supervisors))

    async def _select(self) -> BackendName:
        """Choose the fastest backend that answers rightly; measures unless that was done before."""
        device = self._placements[0].device
        backends = candidates(device, self._kernels)
        if len(backends) == 1 or not self._measures:
            return backends[0]
        limit = self._batching.calibration_limit
        # A GPU is measured with batches as large as it is going to have.
        usual = limit if device.kind == "gpu" or limit < USUAL_BATCH else 0
        max_batch = self._batching.max_batch or usual
        # In a thread: finding the versions of packages reads many files.
        cache = await asyncio.to_thread(self._selection_cache, max_batch, backends)
        measure = partial(
            try_backends,
            self._supervisors,
            backends,
            self._spec.input_size,
            max_batch,
            self._start_timeout,
            self._other_load(),
            on_gpu=device.kind == "gpu",
        )
        # Paddle has as long to load as the others have in all.
        patience = 2 * self._start_timeout
        selection = BackendSelection(
            cache, backends, self._load, measure, patience, self.on_selecting
        )
        if self.may_measure:
            return await selection.select()
        backend = await selection.reuse()
        self.unmeasured = backend is None
        return backend or backends[0]

    def _selection_cache(self, max_batch: int, backends: Sequence[BackendName]) -> SelectionCache:
        devices = [placement.device for placement in self._placements]
        on_gpu = devices[0].kind == "gpu"
        gpus = Device("gpu", tuple(device.index for device in devices))
        return SelectionCache(
            cache_directory() / "selection",
            self._spec.digest,
            self._placements,
            available_cores(),
            max_batch,
            backends,
            self._kernels,
            gpu_names(gpus) if on_gpu else "",
        )
