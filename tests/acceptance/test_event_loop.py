"""The event loop goes on while the predictor computes."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from worker.device import CPU
from worker.failpoints import Failpoints
from worker.inference.placement import Placement
from worker.inference.pool import PredictorPool
from worker.metrics import Metrics
from worker.model import ModelSpec
from worker.predictor.loading import load_predictor
from worker.predictor.predictor import Predictor
from worker.settings import BatchingSettings, PredictorSettings

TICK = 0.001
LIMIT = 0.050
BATCH_SECONDS = 1.0
TRIES = 10
"""A virtual machine that its host holds up stalls everything in it, now and then; a predictor that
holds the GIL stalls the loop in every batch, and for as long as it takes."""

WAITED = Path("/proc/thread-self/schedstat")
"""Of this thread: nanoseconds on a core, nanoseconds of waiting for one, turns (Linux)."""


class Ticker:
    """Looks at the event loop every millisecond.

    Attributes:
        worst: the longest time in seconds that a look was late. The time in which the loop's thread
            was ready to run but other processes had the cores is not counted: that is the machine's
            doing, not the predictor's, and a thread which waits for the GIL is not ready to run.
    """

    def __init__(self) -> None:
        self.worst = 0.0
        self._due = 0.0
        self._waited = 0.0

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._due, self._waited = loop.time() + TICK, _waited_for_core()
        self._handle = loop.call_at(self._due, self._tick)

    def stop(self) -> None:
        self._handle.cancel()

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        waited = _waited_for_core()
        self.worst = max(self.worst, loop.time() - self._due - (waited - self._waited))
        self._due, self._waited = loop.time() + TICK, waited
        self._handle = loop.call_at(self._due, self._tick)


def _waited_for_core() -> float:
    return int(WAITED.read_text("ascii").split()[1]) / 1e9


@asynccontextmanager
async def watched_loop() -> AsyncIterator[Ticker]:
    ticker = Ticker()
    ticker.start()
    try:
        yield ticker
    finally:
        ticker.stop()


@pytest.fixture(scope="module")
def predictor(spec: ModelSpec) -> Predictor:
    return load_predictor(spec, CPU, 1)


@pytest.fixture(scope="module")
def crops(spec: ModelSpec, predictor: Predictor) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """So many images that the predictor takes well over a second for them on this machine."""
    probe = np.random.default_rng(0).integers(0, 256, (8, *spec.input_size, 3), np.uint8)
    predictor.scores(probe)
    best = min(_seconds(lambda: predictor.scores(probe)) for _ in range(5))
    count = math.ceil(2 * BATCH_SECONDS / best * len(probe))
    return np.resize(probe, (count, *spec.input_size, 3))


async def test_the_loop_never_stalls_while_a_batch_of_a_second_runs(
    spec: ModelSpec, crops: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
) -> None:
    metrics = Metrics()
    pool = PredictorPool(
        spec,
        [Placement(CPU, 1)],
        PredictorSettings(backend="paddle"),
        BatchingSettings(max_batch=len(crops)),
        metrics,
        Failpoints(),
    )
    await pool.start()
    try:
        stalls = []
        for _ in range(TRIES):
            batches = _value(metrics, "classify_batch_size_images_count")
            async with watched_loop() as ticker:
                began = time.perf_counter()
                await asyncio.gather(*(pool.classify(crop, 0.0) for crop in crops))
                seconds = time.perf_counter() - began
            assert _value(metrics, "classify_batch_size_images_count") == batches + 1
            assert seconds >= BATCH_SECONDS
            stalls.append(ticker.worst)
            if ticker.worst < LIMIT:
                break
        assert min(stalls) < LIMIT, stalls
    finally:
        await pool.stop()


async def test_the_same_batch_in_a_thread_of_this_process_would_freeze_the_loop(
    predictor: Predictor, crops: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
) -> None:
    """Why there are predictor processes, and that the ticker would notice."""
    async with watched_loop() as ticker:
        await asyncio.to_thread(predictor.scores, crops)
    assert ticker.worst > BATCH_SECONDS / 2


def _value(metrics: Metrics, name: str) -> float:
    return metrics.registry.get_sample_value(name) or 0.0


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began
