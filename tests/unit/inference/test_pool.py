"""What a pool takes: calibrations from the cache, and a backend; without predictor processes."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.small_model import SPEC
from worker.device import CPU, Device
from worker.errors import ModelError, PredictorCrashedError, PredictorError
from worker.failpoints import Failpoints
from worker.inference.calibration import Measurement, Window
from worker.inference.calibration_cache import CalibrationRecord
from worker.inference.placement import Placement
from worker.inference.pool import PredictorPool
from worker.inference.pool_calibration import PoolCalibration
from worker.inference.selection_cache import MEASUREMENTS
from worker.inference.supervisor import SlotSupervisor
from worker.kernels import Precision
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
    precision: Precision = "fp32",
    batching: BatchingSettings | None = None,
) -> PredictorPool:
    return PredictorPool(
        SPEC,
        [placement],
        PredictorSettings(backend=backend, threads=threads, precision=precision),
        batching or BatchingSettings(),
        Metrics(),
        Failpoints(instant=instant),
    )


async def test_a_calibration_counts_for_processors_and_where_cores_are_lent_as_they_were() -> None:
    record = CalibrationRecord(8, 4, solo=False)
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
    monkeypatch.setattr("worker.inference.choice.missing_packages", lambda _: ())
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

    async def measure_sizes(*_: object) -> tuple[Measurement, ...]:
        return Measurement(1, 0.1, 0.0), Measurement(2, 0.1, 0.0)

    async def solo_pays(*_: object) -> bool:
        raise EndedError

    monkeypatch.setattr(SlotSupervisor, "measure_sizes", measure_sizes)
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
    assert (kept.part, kept.max_batch, kept.solo, kept.settled) == (2, 2, False, True)
    await pool.stop()


DIED = "it died (signal 11)"
ON_GPU = Placement(Device("gpu", (0,)), 1)


class QuietLoad:
    """No other program takes any core."""

    def begin(self) -> None: ...

    def taken(self) -> float:
        return 0.0


class Gpu:
    """A machine with a GPU; its backends compute as fast as the test says, or fail as it says.

    Attributes:
        rates: images per second by backend.
        fails: what loading a backend raises.
        loads: backends in the order in which they were loaded.
        batches: sizes that were measured.
        name: what the driver tells.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rates = {"paddle": 1000, "onnxruntime": 2000}
        self.fails: dict[str, Exception] = {}
        self.loads: list[str] = []
        self.batches: list[int] = []
        self.name = "NVIDIA L4"
        self._patch = monkeypatch

        async def load(supervisor: SlotSupervisor, backend: str, *_: object, **__: object) -> None:
            self.loads.append(backend)
            if error := self.fails.get(backend):
                raise error

        async def measure(
            supervisor: SlotSupervisor, pixels: Sequence[object], seconds: float, part: int = 0
        ) -> Window:
            self.batches.append(len(pixels))
            return Window(self.rates[self.loads[-1]], 1.0, 1.0)

        monkeypatch.setattr(SlotSupervisor, "load", load)
        monkeypatch.setattr(SlotSupervisor, "measure", measure)
        monkeypatch.setattr(PredictorPool, "_other_load", lambda _: QuietLoad())
        monkeypatch.setattr("worker.inference.pool.gpu_names", lambda _: self.name)
        monkeypatch.setattr("worker.inference.selection_cache.package_version", lambda _: "1")
        self.install(paddle=True, onnxruntime=True)

    def install(self, *, paddle: bool, onnxruntime: bool) -> None:
        """Say which libraries are built for GPUs."""
        module = "worker.inference.choice"
        self._patch.setattr(f"{module}.is_cpu_build", lambda: not paddle)
        self._patch.setattr(f"{module}.missing_packages", lambda _: ())
        self._patch.setattr(f"{module}.has_gpu_provider", lambda _: onnxruntime)

    async def select(self, *, may_measure: bool = True, precision: Precision = "fp32") -> str:
        pool = make_pool(ON_GPU, backend="auto", precision=precision)
        pool.may_measure = may_measure
        self.loads.clear()
        try:
            return await pool._select()
        finally:
            await pool.stop()


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Gpu:
    return Gpu(monkeypatch)


async def test_on_a_gpu_the_faster_one_is_taken_and_kept_for_that_kind(gpu: Gpu) -> None:
    assert await gpu.select() == "onnxruntime"
    assert gpu.loads == ["paddle", "onnxruntime"]
    assert max(gpu.batches) == BatchingSettings().calibration_limit, "as large as they will be"
    assert await gpu.select() == "onnxruntime"
    assert gpu.loads == ["onnxruntime"], "measured once"
    gpu.name, gpu.rates = "NVIDIA H100", {"paddle": 3000, "onnxruntime": 2000}
    assert await gpu.select() == "paddle"
    assert gpu.loads == ["paddle", "onnxruntime"]


async def test_on_a_gpu_the_measured_batch_is_the_largest_that_is_set(gpu: Gpu) -> None:
    pool = make_pool(ON_GPU, backend="auto", batching=BatchingSettings(max_batch=16))
    assert await pool._select() == "onnxruntime"
    assert max(gpu.batches) == 16
    await pool.stop()
    assert await gpu.select() == "onnxruntime"
    assert gpu.loads == ["paddle", "onnxruntime"], "another batch is measured anew"


@pytest.mark.parametrize(("limit", "measured"), [(4, 4), (32, 8)])
async def test_no_batch_is_measured_that_a_slot_has_no_room_for(
    gpu: Gpu, limit: int, measured: int
) -> None:
    gpu.rates["openvino"] = 10
    batching = BatchingSettings(calibration_limit=limit)
    pool = make_pool(ON_CPU, backend="auto", batching=batching)
    await pool._select()
    assert max(gpu.batches) == measured
    await pool.stop()


@pytest.mark.parametrize("may_measure", [True, False])
@pytest.mark.parametrize(
    ("paddle", "onnxruntime", "precision", "expected"),
    [
        (False, True, "fp32", "onnxruntime"),
        (True, False, "fp32", "paddle"),
        (True, True, "bf16", "paddle"),
    ],
)
async def test_what_alone_computes_on_a_gpu_is_taken_without_measuring(
    gpu: Gpu,
    may_measure: bool,
    paddle: bool,
    onnxruntime: bool,
    precision: Precision,
    expected: str,
) -> None:
    gpu.install(paddle=paddle, onnxruntime=onnxruntime)
    assert await gpu.select(may_measure=may_measure, precision=precision) == expected
    assert (gpu.loads, gpu.batches) == ([], [])


async def test_where_nothing_may_be_measured_a_gpu_has_what_was_selected_else_paddle(
    gpu: Gpu,
) -> None:
    assert await gpu.select(may_measure=False) == "paddle"
    assert gpu.batches == []
    await gpu.select()
    assert await gpu.select(may_measure=False) == "onnxruntime"


async def test_on_a_gpu_that_paddle_cannot_use_onnx_runtime_is_taken(gpu: Gpu) -> None:
    gpu.fails["paddle"] = ModelError("gpu:0: Paddle finds no GPU")
    assert await gpu.select() == "onnxruntime"
    gpu.fails["onnxruntime"] = ModelError("onnxruntime cannot load it")
    with pytest.raises(ModelError, match="Paddle finds no GPU"):
        await gpu.select()


def test_a_gpu_that_nothing_computes_on_is_refused(gpu: Gpu) -> None:
    gpu.install(paddle=False, onnxruntime=False)
    with pytest.raises(ModelError, match="install paddlepaddle-gpu, or onnxruntime-gpu"):
        make_pool(ON_GPU, backend="auto")


@pytest.mark.parametrize(
    ("backend", "paddle", "name", "why"),
    [
        ("auto", False, "the backend", DIED),
        ("auto", True, "the backend", f"paddle: {DIED}; onnxruntime: {DIED}"),
        ("onnxruntime", True, "onnxruntime", DIED),
    ],
)
async def test_a_process_that_dies_on_a_gpu_is_an_error_with_what_to_do(
    gpu: Gpu, backend: BackendChoice, paddle: bool, name: str, why: str
) -> None:
    gpu.install(paddle=paddle, onnxruntime=True)
    gpu.fails = dict.fromkeys(gpu.rates, PredictorCrashedError(DIED))
    pool = make_pool(ON_GPU, backend=backend)
    with pytest.raises(PredictorError) as failed:
        await pool.start()
    expected = f"{name} could not be loaded, since {why}: set device to cpu"
    assert str(failed.value) == expected
    await pool.stop()


@pytest.mark.parametrize(
    ("placements", "alone", "begins", "decoders", "settled"),
    [
        ([ON_CPU, ON_CPU], True, True, 3, True),
        ([ON_CPU, ON_CPU], True, False, 3, False),
        # The images of the model that serves are decoded meanwhile.
        ([ON_CPU, ON_CPU], False, True, 0, False),
        # Only the clock shows how long their threads wait for each other.
        ([Placement(CPU, 2)], True, True, 0, True),
        ([ON_GPU], True, True, 0, True),
    ],
)
async def test_parts_are_measured_beside_decoding_where_nobody_else_is_held_up(
    monkeypatch: pytest.MonkeyPatch,
    placements: list[Placement],
    alone: bool,
    begins: bool,
    decoders: int,
    settled: bool,
) -> None:
    asked: list[int] = []
    own: list[list[int]] = []
    kept: list[CalibrationRecord] = []

    @asynccontextmanager
    async def decoding_beside(count: int) -> AsyncIterator[list[int]]:
        asked.append(count)
        yield list(range(count)) if begins else []

    def read(pids: Iterable[int]) -> None:
        own.append(list(pids))

    async def nothing(*_: object, **__: object) -> None: ...

    async def measure_sizes(*_: object) -> tuple[Measurement, ...]:
        return (Measurement(1, 0.1, 0.0),)

    async def keep(_: object, backend: str, __: object, record: CalibrationRecord) -> None:
        kept.append(record)

    monkeypatch.setattr("worker.inference.pool_calibration.decoding_beside", decoding_beside)
    monkeypatch.setattr("worker.inference.pool.available_cores", lambda: 3)
    monkeypatch.setattr("worker.runtime.other_load.read_cpu_times", read)
    monkeypatch.setattr(PoolCalibration, "_keep", keep)
    monkeypatch.setattr(PredictorPool, "_solo_threads", lambda _: 0)
    monkeypatch.setattr(SlotSupervisor, "measure_sizes", measure_sizes)
    for name in ("load", "start"):
        monkeypatch.setattr(SlotSupervisor, name, nothing)
    monkeypatch.setattr(SlotSupervisor, "serve", lambda self: None)
    pool = PredictorPool(
        SPEC,
        placements,
        PredictorSettings(backend="paddle"),
        BatchingSettings(),
        Metrics(),
        Failpoints(),
    )
    pool.alone = alone
    await pool.start()
    assert asked == [decoders]
    decoding = decoders if begins else 0
    assert all(set(range(decoding)) <= set(pids) for pids in own), "they are no other program"
    assert [record.settled for record in kept] == [settled]
    await pool.stop()
