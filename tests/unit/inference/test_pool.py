"""Which calibrations a pool takes from the cache, without predictor processes."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.small_model import SPEC
from worker.device import CPU, Device
from worker.failpoints import Failpoints
from worker.inference.calibration import Calibration, Measurement
from worker.inference.calibration_cache import CalibrationRecord
from worker.inference.placement import Placement
from worker.inference.pool import PredictorPool
from worker.inference.selection_cache import MEASUREMENTS
from worker.inference.supervisor import SlotSupervisor
from worker.metrics import Metrics
from worker.settings import BackendChoice, BatchingSettings, PredictorSettings

ON_CPU = Placement(CPU, 1)


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLASSIFY_WORKER_CACHE", str(tmp_path))
    # Finding Paddle's takes longer than all the rest of a test.
    monkeypatch.setattr("worker.inference.calibration_cache.package_version", lambda _: "1")


def make_pool(
    placement: Placement,
    threads: int = 0,
    backend: BackendChoice = "paddle",
    *,
    instant: bool = False,
) -> PredictorPool:
    return PredictorPool(
        SPEC,
        [placement],
        PredictorSettings(backend=backend, threads=threads),
        BatchingSettings(),
        Metrics(),
        Failpoints(instant=instant),
    )


async def test_a_calibration_counts_for_processors_and_where_cores_are_lent_as_they_were() -> None:
    record = CalibrationRecord(8, solo=False)
    first = make_pool(ON_CPU, threads=1)
    await first._calibration._keep("paddle", None, record)
    assert await first._calibration.kept("paddle") == record
    lends = make_pool(ON_CPU)
    assert await lends._calibration.kept("paddle") is None, "all cores were not tried"
    await lends._calibration._keep("paddle", None, record)
    assert await lends._calibration.kept("paddle") == record
    gpu = make_pool(replace(ON_CPU, device=Device("gpu", (0,))))
    assert await gpu._calibration.kept("paddle") is None
    for pool in (first, lends, gpu):
        await pool.stop()


async def test_predictors_that_answer_at_once_are_not_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.inference.pool.installed_backends", lambda: ("onnxruntime",))
    loaded: list[tuple[str, int]] = []

    async def load(self: SlotSupervisor, backend: str, *, solo_threads: int = 0) -> None:
        loaded.append((backend, solo_threads))

    async def start(self: SlotSupervisor) -> None: ...

    monkeypatch.setattr(SlotSupervisor, "load", load)
    monkeypatch.setattr(SlotSupervisor, "start", start)
    monkeypatch.setattr(SlotSupervisor, "serve", lambda self: None)
    pool = make_pool(ON_CPU, backend="auto", instant=True)
    await pool.start()
    assert loaded == [("paddle", 0)]
    assert os.listdir(tmp_path) == [], "nothing that later starts would go by"  # noqa: PTH208
    await pool.stop()


class EndedError(BaseException):
    """What ends the worker as a kernel does that is short of memory."""


async def test_a_second_copy_that_ends_the_worker_is_not_tried_at_every_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:

    async def calibrate(*_: object) -> Calibration:
        return Calibration((Measurement(1, 0.1), Measurement(2, 0.1)), 2)

    async def solo_pays(*_: object) -> bool:
        raise EndedError

    monkeypatch.setattr(SlotSupervisor, "calibrate", calibrate)
    monkeypatch.setattr(SlotSupervisor, "solo_pays", solo_pays)
    for _ in range(MEASUREMENTS):
        pool = make_pool(ON_CPU)
        pool._supervisors[0].solo = True
        with pytest.raises(EndedError):
            await pool._calibration.warm("paddle", 2)
        await pool.stop()
    pool = make_pool(ON_CPU)
    kept = await pool._calibration.kept("paddle")
    assert kept is not None
    assert (kept.max_batch, kept.solo, kept.settled) == (2, False, True)
    await pool.stop()
