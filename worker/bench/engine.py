"""The engine in this process: all that a worker does with an image, without a way in or out."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from worker.bench.latency import due_times, latencies, percentiles
from worker.bench.measurement import Measurement
from worker.bench.process_tree import look, spent
from worker.bench.stages import stage_milliseconds
from worker.budget import Budget
from worker.contract.jobs import Job, RawImage, Success
from worker.engine.engine import Engine
from worker.errors import WorkerError
from worker.failpoints import Failpoints
from worker.inference.devices import find_device
from worker.inference.placement import available_cores, place
from worker.metrics import Metrics
from worker.model import ModelSpec
from worker.settings import ResultCacheSettings, Settings

__all__ = ["EngineBench"]

IN_FLIGHT = 128
"""Images at a time: enough to keep every slot and image process busy."""

WARM_SECONDS = 1.0


class EngineBench:
    """An engine with nothing else to do; made in its event loop; an async context manager.

    It keeps no results: images that come again are computed again.

    Args:
        images: encoded; each job has the next one.
    """

    def __init__(self, spec: ModelSpec, images: Sequence[bytes], settings: Settings) -> None:
        self._spec = spec
        self._images = images
        settings = settings.model_copy(update={"result_cache": ResultCacheSettings()})
        self._metrics = Metrics()
        self._budget = Budget(1_000_000, 2**50)
        predictor = settings.predictor
        device = find_device(settings.device, predictor.backend, predictor.kernels)
        slots, threads = predictor.slots, predictor.threads
        self._placements = place(device, slots, threads, available_cores())
        self._engine = Engine(spec, self._placements, settings, Failpoints(), self._metrics)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Start it.

        Raises:
            WorkerError: the model cannot be loaded, or the system lacks something.
        """
        try:
            await self._engine.start(self._stack)
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    async def saturate(self, seconds: float, *, pictures: bool) -> Measurement:
        """Give it as many images as it takes.

        Returns:
            Images per second, and CPU time per image by kind of process and thread.

        Raises:
            WorkerError: an image cannot be classified.
        """
        done, ending = 0, False

        async def keep_on(number: int) -> None:
            nonlocal done
            while not ending:
                await self._classify(number, pictures=pictures)
                done += 1
                number += IN_FLIGHT

        async with asyncio.TaskGroup() as group:
            for number in range(IN_FLIGHT):
                group.create_task(keep_on(number))
            await asyncio.sleep(WARM_SECONDS)
            me = os.getpid()
            stages = stage_milliseconds(self._metrics.registry.collect())
            first, before, began = done, look(me), time.perf_counter()
            await asyncio.sleep(seconds)
            took, after, images = time.perf_counter() - began, look(me), max(1, done - first)
            waited = stages.until(self._metrics.registry.collect())
            ending = True
        cpu = {kind: used * 1000 / images for kind, used in spent(before, after).items()}
        details = {
            "backend": self._engine.identity.backend,
            "slots": f"{len(self._placements)}x{self._placements[0].threads}",
            "batch": self._engine.pool.max_batch,
            "ms_cpu_by_kind": cpu,
            "peak_mb": max(before.memory, after.memory) / 1e6,
            "stages_ms": waited,
        }
        rate = images / took
        name = "engine"
        return Measurement(name, self._spec.name, pictures, rate, sum(cpu.values()), details)

    async def at_load(
        self, name: str, rate: float, seconds: float, *, pictures: bool
    ) -> Measurement:
        """Give it images at even distances, whatever becomes of those before.

        Args:
            name: of the measurement.
            rate: images per second.

        Returns:
            Percentiles of the time from when an image was due to its outcome.

        Raises:
            WorkerError: an image cannot be classified.
        """
        begins = time.perf_counter()
        due = [begins + after for after in due_times(rate, seconds)]
        done: dict[int, float] = {}

        async def one(number: int) -> None:
            await self._classify(number, pictures=pictures)
            done[number] = time.perf_counter()

        async with asyncio.TaskGroup() as group:
            for number, at in enumerate(due):
                await asyncio.sleep(at - time.perf_counter())
                group.create_task(one(number))
        details = {
            "at_images_per_second": rate,
            "samples": len(due),
            "latency_ms": percentiles(latencies(due, done)),
        }
        return Measurement(name, self._spec.name, pictures, details=details)

    async def _classify(self, number: int, *, pictures: bool) -> None:
        held = self._budget.reserve(0)
        try:
            image = self._images[number % len(self._images)]
            outcome = await self._engine.process(Job(RawImage(image), visualize=pictures), held)
        finally:
            held.release()
        if not isinstance(outcome, Success):
            raise WorkerError(f"an image cannot be classified: {outcome.message}")
