"""The pool with real predictor processes: crashes, poison, restarts, and an end in time."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil
import pytest
import structlog

from worker.cache import cache_directory
from worker.device import CPU
from worker.errors import JobError, ModelError, Reason
from worker.failpoints import Failpoints
from worker.inference.calibration_cache import CalibrationCache, CalibrationRecord
from worker.inference.placement import Placement, available_cores
from worker.inference.pool import PredictorPool
from worker.inference.protocol import SharedBatch
from worker.inference.slot import Slot
from worker.metrics import Metrics
from worker.model import ModelSpec, load_model_spec
from worker.predictor.loading import load_predictor
from worker.settings import BackendChoice, BatchingSettings, PredictorSettings

Crops = list[npt.NDArray[np.uint8]]
MakePool = Callable[..., Any]

GREEN, BLUE = (np.full((224, 224, 3), colour, np.uint8) for colour in [(0, 255, 0), (0, 0, 255)])
CRASHES, HANGS = GREEN, BLUE
ACTIONS = (((0, 255, 0), "predictor.kill"), ((0, 0, 255), "predictor.hang"))
BOUND = 60.0


class Pool:
    """A pool with its metrics."""

    def __init__(
        self,
        spec: ModelSpec,
        slots: int,
        timeout: float,
        slow: float,
        backend: BackendChoice,
    ) -> None:
        self.metrics = Metrics()
        self.pool = PredictorPool(
            spec,
            [Placement(CPU, 1)] * slots,
            PredictorSettings(backend=backend, timeout=timeout),
            BatchingSettings(max_batch=4),
            self.metrics,
            Failpoints(ACTIONS, slow),
        )
        self.pool.show()

    def value(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0

    async def reaches(self, name: str, value: float, **labels: str) -> None:
        """Wait until a metric has a value; there is no other sign of it."""
        async with asyncio.timeout(BOUND):
            while self.value(name, **labels) != value:  # noqa: ASYNC110 - a counter has no event
                await asyncio.sleep(0.01)


@pytest.fixture
async def make_pool(spec: ModelSpec) -> AsyncIterator[MakePool]:
    async with AsyncExitStack() as stack:

        async def make(
            model: ModelSpec = spec,
            slots: int = 1,
            timeout: float = 60.0,
            slow: float = 0.0,
            backend: BackendChoice = "paddle",
        ) -> Pool:
            made = Pool(model, slots, timeout, slow, backend)
            stack.push_async_callback(made.pool.stop)
            await made.pool.start()
            return made

        yield make


async def test_answers_metrics_and_a_batch_for_what_comes_together(
    make_pool: MakePool, spec: ModelSpec, crops: Crops
) -> None:
    made = await make_pool(slots=2)
    assert len(set(made.pool.pids)) == 2
    assert made.value("classify_predictor_slots") == 2
    calibrated = made.value("classify_images_total")
    async with asyncio.timeout(60):
        # One that still gets ready takes none of them.
        while len(made.pool._batcher._free_slots) < 2:  # noqa: ASYNC110 - slots tell nobody
            await asyncio.sleep(0.01)
    scores = await asyncio.gather(*(made.pool.classify(crop, 0.0) for crop in crops))
    expected = load_predictor(spec, CPU, 1).scores(np.stack(crops))
    np.testing.assert_allclose(np.stack(scores), expected, rtol=0, atol=1e-5)
    assert made.value("classify_images_total") - calibrated == 4
    assert made.value("classify_batches_total", reason="shared") == 1
    assert made.value("classify_batches_total", reason="drained") == 1
    assert made.value("classify_batch_size_images_sum") == 4
    assert made.value("classify_stage_duration_seconds_count", stage="batch_wait") == 4
    assert made.value("classify_stage_duration_seconds_count", stage="infer") == 4
    assert made.value("classify_ready_images") == 0
    assert not made.pool.stalled()


async def test_without_the_extra_auto_is_paddle_and_says_nothing_of_it(
    make_pool: MakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.inference.choice.missing_packages", lambda name: (name,))
    with structlog.testing.capture_logs() as logged:
        made = await make_pool(backend="auto")
    assert made.pool.backend == "paddle+onednn"
    assert {entry["event"] for entry in logged} == {"predictor_loaded", "calibrated"}


async def test_what_was_calibrated_before_is_taken_as_it_was(spec: ModelSpec, crops: Crops) -> None:
    batching, layout = BatchingSettings(calibration_limit=5), [Placement(CPU, 1)]
    kept = CalibrationCache(
        cache_directory() / "calibration", spec.digest, layout, available_cores(), batching
    )
    kept.write("paddle", CalibrationRecord(3, 2, solo=True))
    pool = PredictorPool(
        spec, layout, PredictorSettings(backend="paddle"), batching, Metrics(), Failpoints()
    )
    with structlog.testing.capture_logs() as logged:
        try:
            await pool.start()
            scores = await asyncio.gather(*(pool.classify(crop, 0.0) for crop in crops))
        finally:
            await pool.stop()
    assert pool.max_batch == 3
    assert [supervisor._slot.part for supervisor in pool._supervisors] == [2]
    (calibrated,) = (entry for entry in logged if entry["event"] == "calibrated")
    assert calibrated["from_cache"]
    assert calibrated["solo"]
    assert len(scores) == len(crops)


async def test_a_killed_predictor_costs_nobody_an_answer(make_pool: MakePool, crops: Crops) -> None:
    made = await make_pool()
    (before,) = made.pool.pids
    os.kill(before, signal.SIGKILL)
    scores = await asyncio.gather(*(made.pool.classify(crop, 0.0) for crop in crops))
    assert np.isfinite(scores).all()
    (after,) = made.pool.pids
    assert after != before
    assert made.value("classify_predictor_restarts_total", cause="crash") == 1
    assert made.value("classify_predictor_slots") == 1


async def test_a_poison_image_fails_alone(make_pool: MakePool, crops: Crops) -> None:
    made = await make_pool()
    both = [made.pool.classify(CRASHES, 0.0), made.pool.classify(crops[0], 1.0)]
    answers: list[Any] = await asyncio.gather(*both, return_exceptions=True)
    poison, good = answers
    assert isinstance(poison, JobError)
    assert poison.reason is Reason.POISON
    assert poison.attempts == 3
    assert "signal 9" in poison.message
    assert isinstance(good, np.ndarray)


async def test_batches_that_are_put_together_ahead_are_answered_each_as_its_own(
    make_pool: MakePool, spec: ModelSpec, crops: Crops, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU: a slot with two buffers, full batches, and a process that ends at the first."""
    monkeypatch.setattr("worker.inference.slot.buffers_for", lambda device: 2)
    staged: list[int] = []
    stage = Slot.stage

    def counted(self: Slot, images: Crops, buffer: int) -> SharedBatch | None:
        staged.append(buffer)
        return stage(self, images, buffer)

    monkeypatch.setattr(Slot, "stage", counted)
    made = await make_pool()
    (pid,) = made.pool.pids
    os.kill(pid, signal.SIGKILL)
    images = [*crops * 5, crops[0]]
    calls = [made.pool.classify(image, order) for order, image in enumerate(images)]
    async with asyncio.timeout(BOUND):
        answers = await asyncio.gather(*calls)
    expected = load_predictor(spec, CPU, 1).scores(np.stack(crops))
    rows = [index % 4 for index in range(21)]
    np.testing.assert_allclose(np.stack(answers), expected[rows], rtol=0, atol=1e-5)
    assert made.value("classify_predictor_restarts_total", cause="crash") == 1
    # Six batches, of which the first was taken by a free slot and the last was not full.
    assert staged == [1, 0, 1, 0]


async def test_an_image_that_hangs_the_predictor_fails_alone(
    make_pool: MakePool, crops: Crops
) -> None:
    made = await make_pool(timeout=3.0)
    with pytest.raises(JobError, match=r"did not answer within 3 s") as raised:
        await made.pool.classify(HANGS, 0.0)
    assert raised.value.reason is Reason.POISON
    assert made.value("classify_predictor_restarts_total", cause="timeout") == 2
    assert (await made.pool.classify(crops[0], 0.0)).shape == (1000,)


async def test_images_wait_while_no_predictor_can_start(
    make_pool: MakePool, model_dir: Path, tmp_path: Path, crops: Crops
) -> None:
    model = Path(shutil.copytree(model_dir, tmp_path / "model"))
    made = await make_pool(load_model_spec(model))
    away = tmp_path / "away"
    shutil.move(model, away)
    (pid,) = made.pool.pids
    os.kill(pid, signal.SIGKILL)
    waiting = asyncio.create_task(made.pool.classify(crops[0], 0.0))
    await made.reaches("classify_predictor_slots", 0)
    await made.reaches("classify_ready_images", 1)
    assert not waiting.done()
    shutil.move(away, model)
    async with asyncio.timeout(BOUND):
        assert (await waiting).shape == (1000,)


async def test_a_damaged_model_fails_the_start_and_leaves_no_process(
    make_pool: MakePool, model_dir: Path, tmp_path: Path
) -> None:
    model = Path(shutil.copytree(model_dir, tmp_path / "model"))
    (model / "inference.pdiparams").write_bytes(b"no weights")
    before = set(psutil.Process().children())
    with pytest.raises(ModelError, match=r"inference\.pdiparams"):
        await make_pool(load_model_spec(model))
    assert {child for child in psutil.Process().children() if child.is_running()} == before


async def test_stopping_does_not_wait_for_a_busy_predictor(
    make_pool: MakePool, crops: Crops
) -> None:
    made = await make_pool(timeout=3600.0)
    processes = [psutil.Process(pid) for pid in made.pool.pids]
    busy = asyncio.create_task(made.pool.classify(HANGS, 0.0))
    await made.reaches("classify_batches_total", 1, reason="drained")
    async with asyncio.timeout(5.0):
        await made.pool.stop()
    assert not any(process.is_running() for process in processes)
    assert made.pool.pids == []
    assert made.value("classify_predictor_slots") == 0
    busy.cancel()
    await asyncio.gather(busy, return_exceptions=True)


async def test_cancelling_withdraws_an_image_that_waits(make_pool: MakePool, crops: Crops) -> None:
    made = await make_pool(slow=0.2)
    first = asyncio.create_task(made.pool.classify(crops[0], 0.0))
    await made.reaches("classify_batches_total", 1, reason="drained")
    others = [asyncio.create_task(made.pool.classify(crop, 0.0)) for crop in crops[1:]]
    await asyncio.sleep(0)
    others[0].cancel()
    results = await asyncio.gather(first, *others, return_exceptions=True)
    assert isinstance(results[1], asyncio.CancelledError)
    assert made.value("classify_images_total") == 3
