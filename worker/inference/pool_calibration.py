"""The calibration of a pool: taken from an earlier start, or measured on all slots side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from worker.inference.arrays import Pixels, Scores
from worker.inference.batcher import Batcher
from worker.inference.calibration import choose
from worker.inference.calibration_cache import CalibrationCache, CalibrationRecord
from worker.inference.decoding_beside import decoding_beside
from worker.inference.isolation import Poisoned
from worker.inference.protocol import BackendName
from worker.inference.supervisor import SlotSupervisor
from worker.logs import get_logger
from worker.runtime.other_load import OtherLoad
from worker.settings import BatchingSettings

__all__ = ["PoolCalibration"]

log = get_logger(__name__)


class PoolCalibration:
    """Chooses a pool's largest batch, and whether the network is held twice for images alone.

    Args:
        input_size: `(H, W)` in pixels.
        supervisors: of the slots; the first one's is that of images alone.
        batcher: is given the largest batch.
        cache: what earlier starts have measured; None where that says nothing of this one.
        other_load: makes what measures the share of the cores that programs have other than the
            predictors and these processes.

    Attributes:
        decoders: processes that are to decode while parts are measured.
        alone: whether they may: no other model serves meanwhile.
    """

    def __init__(
        self,
        input_size: tuple[int, int],
        supervisors: Sequence[SlotSupervisor],
        batcher: Batcher[Pixels, Scores | Poisoned],
        batching: BatchingSettings,
        cache: CalibrationCache | None,
        other_load: Callable[[Sequence[int]], OtherLoad],
    ) -> None:
        self.decoders = 0
        self.alone = True
        self._input_size = input_size
        self._supervisors = supervisors
        self._batcher = batcher
        self._batching = batching
        self._cache = cache
        self._other_load = other_load

    async def kept(self, backend: BackendName) -> CalibrationRecord | None:
        """What was measured with a backend by earlier starts; None if nothing was."""
        if self._cache is None:
            return None
        # In a thread: finding the versions of packages reads many files.
        return await asyncio.to_thread(self._cache.read, backend)

    async def warm(self, backend: BackendName, solo_threads: int) -> None:
        """Warm the slots, and choose the largest batch: as it was measured before, or measure.

        Args:
            backend: that all slots have loaded.
            solo_threads: CPU threads of the first slot for an image that comes alone, for the log.

        Raises:
            PredictorError: a run failed.
        """
        kept = await self.kept(backend)
        if kept is None or not kept.settled:
            await self._calibrate(partial(self._keep, backend, kept), solo_threads)
            return
        self._apply(kept.max_batch, kept.part)
        await asyncio.gather(
            *(supervisor.warm(self._input_size, kept.part) for supervisor in self._supervisors)
        )
        log.info(
            "calibrated",
            batch=kept.max_batch,
            part=kept.part,
            chosen=True,
            solo=bool(kept.solo),
            from_cache=True,
        )

    def _apply(self, max_batch: int, part: int) -> None:
        self._batcher.max_batch = max_batch
        for supervisor in self._supervisors:
            supervisor.compute_in_parts(part)

    async def _keep(
        self, backend: BackendName, kept: CalibrationRecord | None, record: CalibrationRecord
    ) -> None:
        if self._cache is not None:
            record = kept.measured_again(record) if kept else record
            await asyncio.to_thread(self._cache.write, backend, record)

    async def _calibrate(
        self, keep: Callable[[CalibrationRecord], Awaitable[None]], solo_threads: int
    ) -> None:
        async with decoding_beside(self.decoders if self.alone else 0) as pids:
            load = self._other_load(pids)
            load.begin()
            # Side by side, as they will work.
            measured = await asyncio.gather(
                *(
                    supervisor.measure_sizes(self._input_size, self._batching)
                    for supervisor in self._supervisors
                )
            )
            # Without decoding it is measured again.
            taken = load.taken() if pids or not self.decoders else 1.0
        chosen = choose(measured, self._batching, whole=self._supervisors[0].whole)
        self._apply(chosen.max_batch, chosen.part)
        for row in chosen.rows:
            log.info(
                "calibrated",
                batch=chosen.max_batch,
                part=row.size,
                milliseconds=round(row.seconds * 1000, 1),
                images_per_second=round(row.size / row.seconds * len(self._supervisors), 1),
                chosen=row.size == chosen.part,
                from_cache=False,
            )
        first = self._supervisors[0]
        solo = None
        if first.solo:
            # Where memory is short, the kernel may end the whole container: after a few starts that
            # ended here, the next one takes this record, and does not try again.
            await keep(CalibrationRecord(chosen.max_batch, chosen.part, solo=False, taken=1.0))
            load = self._other_load(())
            load.begin()
            solo = await first.solo_pays(self._input_size)
            taken = max(taken, load.taken())
            log.info("calibrated", solo_threads=solo_threads, chosen=solo, from_cache=False)
        if first.solo and not solo:
            await first.drop_solo()
        await keep(CalibrationRecord(chosen.max_batch, chosen.part, solo, taken))
