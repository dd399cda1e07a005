"""Real predictor processes with real backends: selected together, refused, started again."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
import structlog

from tests.support.networks import SIDE, export_colours
from worker.cache import CACHE_VARIABLE, cache_directory
from worker.device import CPU
from worker.errors import ModelError, PredictorError
from worker.failpoints import Failpoints
from worker.hpip import OnnxBackend
from worker.inference.placement import Placement
from worker.inference.pool import PredictorPool
from worker.metrics import Metrics
from worker.model import ModelSpec, load_model_spec
from worker.predictor.backends.conversion import to_onnx
from worker.settings import BackendChoice, BatchingSettings, PredictorSettings

BOUND = 120.0
YELLOW = np.full((SIDE, SIDE, 3), (255, 255, 0), np.uint8)
SCORES = 1 / (1 + np.exp([-4.0, -4.0, 4.0]))
"""Of a yellow image: red and green, and no blue."""


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    return load_model_spec(export_colours(tmp_path_factory.mktemp("colours"), "sigmoid"))


@asynccontextmanager
async def started(
    spec: ModelSpec, backend: BackendChoice, slots: int = 2
) -> AsyncIterator[PredictorPool]:
    pool = PredictorPool(
        spec,
        [Placement(CPU, 1)] * slots,
        PredictorSettings(backend=backend),
        BatchingSettings(max_batch=4),
        Metrics(),
        Failpoints(),
    )
    try:
        async with asyncio.timeout(BOUND):
            await pool.start()
        yield pool
    finally:
        await pool.stop()


async def is_right(pool: PredictorPool) -> None:
    async with asyncio.timeout(BOUND):
        scores = await asyncio.gather(*(pool.classify(YELLOW, 0.0) for _ in range(8)))
    np.testing.assert_allclose(np.stack(scores), np.tile(SCORES, (8, 1)), atol=1e-4)


def convert_another(spec: ModelSpec, directory: Path) -> None:
    """Put another network's ONNX file where that of `spec` is expected."""
    target = to_onnx(spec, cache_directory() / "onnx")
    other = load_model_spec(export_colours(directory, "softmax"))
    to_onnx(other, directory).replace(target)


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
async def test_a_backend_that_is_named_computes_and_does_so_again_after_a_crash(
    colours: ModelSpec, backend: OnnxBackend
) -> None:
    async with started(colours, backend, slots=1) as pool:
        assert pool.backend == backend
        await is_right(pool)
        (before,) = pool.pids
        os.kill(before, signal.SIGKILL)
        await is_right(pool)
        assert pool.pids != [before]
        assert pool.backend == backend


def crash_when_imported(package: str, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a package of this name before the real one, in the processes that are started."""
    (directory / package).mkdir(parents=True)
    (directory / package / "__init__.py").write_text("import os\nos.abort()\n")
    paths = filter(None, [str(directory), os.environ.get("PYTHONPATH")])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))


async def test_one_that_is_named_and_crashes_is_named_with_what_to_do(
    colours: ModelSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crash_when_imported("onnxruntime", tmp_path / "path", monkeypatch)
    expected = (
        r"^onnxruntime could not be loaded, since the predictor process died \(signal 6\): set "
        r"predictor\.backend to auto or paddle$"
    )
    with pytest.raises(PredictorError, match=expected):
        async with started(colours, "onnxruntime"):
            pass


async def test_auto_goes_on_without_one_that_crashes(
    colours: ModelSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crash_when_imported("onnxruntime", tmp_path / "path", monkeypatch)
    with structlog.testing.capture_logs() as logged:
        async with started(colours, "auto", slots=1) as pool:
            assert pool.backend != "onnxruntime"
            await is_right(pool)
    (unusable,) = (row for row in logged if row["event"] == "backend_unusable")
    assert unusable["backend"] == "onnxruntime"
    assert "signal 6" in unusable["problem"]


async def test_auto_measures_all_once_and_says_what_it_measured(colours: ModelSpec) -> None:
    chosen: list[str] = []
    for measured in (True, False):
        with structlog.testing.capture_logs() as logged:
            async with started(colours, "auto") as pool:
                await is_right(pool)
                chosen.append(pool.backend)
        rows = [entry for entry in logged if entry["event"] == "backend_measured"]
        assert {row["backend"] for row in rows} == {"paddle", "onnxruntime", "openvino"}
        assert all(row["images_per_second"] > 0 for row in rows)
        (taken,) = (row["backend"] for row in rows if row["chosen"])
        assert pool.backend.partition("+")[0] == taken
        assert {row["from_cache"] for row in rows} == {not measured}
        assert any(entry["event"] == "measuring_backends" for entry in logged) is measured
    assert chosen[0] == chosen[1]


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
async def test_one_that_answers_otherwise_is_refused_by_its_name(
    colours: ModelSpec, backend: OnnxBackend, tmp_path: Path
) -> None:
    convert_another(colours, tmp_path / "other")
    expected = (
        rf"^{backend} does not answer colours, sigmoid as plain Paddle does \(a score differs by "
        r"0\.\d+\): set predictor\.backend to auto or paddle$"
    )
    for _ in range(2):  # the second time it is known
        with pytest.raises(ModelError, match=expected):
            async with started(colours, backend):
                pass


async def test_auto_never_takes_one_that_answers_otherwise(
    colours: ModelSpec, tmp_path: Path
) -> None:
    convert_another(colours, tmp_path / "other")
    for _ in range(2):
        with structlog.testing.capture_logs() as logged:
            async with started(colours, "auto") as pool:
                assert pool.backend == "paddle+onednn"
                await is_right(pool)
        unusable = {row["backend"] for row in logged if row["event"] == "backend_unusable"}
        assert unusable == {"onnxruntime", "openvino"}


async def test_a_selected_backend_that_cannot_be_loaded_any_more_is_selected_anew(
    colours: ModelSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with started(colours, "auto"):
        pass
    (kept,) = (cache_directory() / "selection").iterdir()
    rows = json.loads(kept.read_text())
    for row in rows:
        row["images_per_second"] = 9e9 if row["backend"] == "onnxruntime" else 1.0
    kept.write_text(json.dumps(rows))
    crash_when_imported("onnxruntime", tmp_path / "path", monkeypatch)
    with structlog.testing.capture_logs() as logged:
        async with started(colours, "auto") as pool:
            assert pool.backend != "onnxruntime"
            await is_right(pool)
    (failed,) = (entry for entry in logged if entry["event"] == "backend_failed")
    assert (failed["backend"], failed["error"]) == (
        "onnxruntime",
        "the predictor process died (signal 6)",
    )


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
async def test_a_damaged_converted_model_is_converted_anew(
    colours: ModelSpec, backend: OnnxBackend
) -> None:
    converted = to_onnx(colours, cache_directory() / "onnx")
    whole = converted.read_bytes()
    converted.write_bytes(whole[: len(whole) // 2])
    async with started(colours, backend, slots=1) as pool:
        assert pool.backend == backend
        await is_right(pool)
    assert len(converted.read_bytes()) == len(whole)
