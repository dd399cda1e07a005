"""Real predictor processes with real backends: selected together, refused, started again."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
import structlog

from tests.support.networks import SIDE, export_colours
from worker.cache import CACHE_VARIABLE, cache_directory
from worker.device import CPU
from worker.errors import ModelError, ParityError, PredictorError
from worker.failpoints import Failpoints
from worker.hpip import OnnxBackend
from worker.inference.placement import Placement, available_cores
from worker.inference.pool import PredictorPool
from worker.inference.protocol import BackendName
from worker.inference.selection_cache import SelectionCache, SelectionRecord
from worker.inference.trials import Trial
from worker.metrics import Metrics
from worker.model import ModelSpec, load_model_spec
from worker.predictor.backends.conversion import Converted, to_onnx
from worker.predictor.loading import load_predictor
from worker.settings import BackendChoice, BatchingSettings, PredictorSettings

BOUND = 120.0
YELLOW = np.full((SIDE, SIDE, 3), (255, 255, 0), np.uint8)
SCORES = 1 / (1 + np.exp([-4.0, -4.0, 4.0]))
"""Of a yellow image: red and green, and no blue."""


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    return load_model_spec(export_colours(tmp_path_factory.mktemp("colours"), "sigmoid"))


@pytest.fixture(scope="module")
def converted(colours: ModelSpec, tmp_path_factory: pytest.TempPathFactory) -> Converted:
    return to_onnx(colours, tmp_path_factory.mktemp("onnx"))


@pytest.fixture(scope="module")
def another(tmp_path_factory: pytest.TempPathFactory) -> Converted:
    """A network of the same shape that answers otherwise."""
    directory = tmp_path_factory.mktemp("another")
    return to_onnx(load_model_spec(export_colours(directory, "softmax")), directory)


@pytest.fixture(autouse=True)
def own_cache(converted: Converted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache in which the model is converted already, which takes longest."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    shutil.copytree(converted.path.parent, tmp_path / "cache" / "onnx")


@pytest.fixture(autouse=True)
def quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else this machine does, measurements are not in doubt: the system tells nothing."""
    monkeypatch.setattr("worker.runtime.other_load.PROC", tmp_path / "no-proc")


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


def in_cache(converted: Converted) -> Path:
    """Where a converted network lies in this test's cache."""
    return cache_directory() / "onnx" / converted.path.name


def put_another(converted: Converted, another: Converted) -> None:
    """Put another network's ONNX file, and its digest, where those of `converted` are expected."""
    target = in_cache(converted)
    shutil.copy(another.path, target)
    target.with_name(f"{target.name}.sha256").write_text(f"{another.digest}  {target.name}\n")


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


async def test_of_two_that_start_at_once_one_measures_and_both_say_what_was_measured(
    colours: ModelSpec,
) -> None:
    with structlog.testing.capture_logs() as logged:
        async with AsyncExitStack() as stack:
            one, other = await asyncio.gather(
                *(stack.enter_async_context(started(colours, "auto", slots)) for slots in (2, 2))
            )
            assert one.backend == other.backend
            await is_right(one)
            await is_right(other)
    events = [entry["event"] for entry in logged]
    assert events.count("measuring_backends") == events.count("waiting_for_measurement") == 1
    rows = [entry for entry in logged if entry["event"] == "backend_measured"]
    for from_cache in (False, True):
        table = {row["backend"]: row for row in rows if row["from_cache"] is from_cache}
        assert set(table) == {"paddle", "onnxruntime", "openvino"}
        assert all(row["images_per_second"] > 0 for row in table.values())
        (taken,) = (row["backend"] for row in table.values() if row["chosen"])
        assert one.backend.partition("+")[0] == taken


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
async def test_one_that_answers_otherwise_is_refused_by_its_name(
    colours: ModelSpec, backend: OnnxBackend, converted: Converted, another: Converted
) -> None:
    put_another(converted, another)
    expected = (
        rf"^{backend} does not answer colours, sigmoid as plain Paddle does \(a score differs by "
        r"0\.\d+\): set predictor\.backend to auto or paddle$"
    )
    for _ in range(2):  # the second time it is known
        with pytest.raises(ModelError, match=expected):
            async with started(colours, backend):
                pass


async def test_auto_never_takes_one_that_answers_otherwise(
    colours: ModelSpec, converted: Converted, another: Converted
) -> None:
    put_another(converted, another)
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
    backends: tuple[BackendName, ...] = ("paddle", "openvino", "onnxruntime")
    layout = [Placement(CPU, 1)]
    kept = SelectionCache(
        cache_directory() / "selection", colours.digest, layout, available_cores(), 4, backends
    )
    rates = {"onnxruntime": 9e9}
    kept.write(SelectionRecord(tuple(Trial(name, rates.get(name, 1.0)) for name in backends)))
    crash_when_imported("onnxruntime", tmp_path / "path", monkeypatch)
    with structlog.testing.capture_logs() as logged:
        async with started(colours, "auto", slots=len(layout)) as pool:
            assert pool.backend != "onnxruntime"
            await is_right(pool)
    (failed,) = (entry for entry in logged if entry["event"] == "backend_failed")
    assert (failed["backend"], failed["error"]) == (
        "onnxruntime",
        "the predictor process died (signal 6)",
    )


async def test_a_worker_starts_with_a_damaged_converted_model(
    colours: ModelSpec, converted: Converted
) -> None:
    damaged = in_cache(converted)
    damaged.write_bytes(damaged.read_bytes()[: damaged.stat().st_size // 2])
    async with started(colours, "onnxruntime", slots=1) as pool:
        assert pool.backend == "onnxruntime"
        await is_right(pool)
    assert damaged.read_bytes() == converted.path.read_bytes()


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("change", ["cut off", "another", "no digest"])
def test_a_converted_model_that_has_changed_since_its_check_is_converted_anew(
    colours: ModelSpec,
    backend: OnnxBackend,
    change: str,
    converted: Converted,
    another: Converted,
) -> None:
    load_predictor(colours, CPU, 1, backend)
    changed = in_cache(converted)
    match change:
        case "cut off":
            changed.write_bytes(changed.read_bytes()[: changed.stat().st_size // 2])
        case "another":
            changed.write_bytes(another.path.read_bytes())
        case _:
            changed.with_name(f"{changed.name}.sha256").unlink()
    scores = load_predictor(colours, CPU, 1, backend).scores(YELLOW[None])
    np.testing.assert_allclose(scores, SCORES[None], atol=1e-4)
    assert to_onnx(colours, changed.parent) == Converted(changed, converted.digest)


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_a_result_of_the_check_holds_for_the_file_that_was_checked(
    colours: ModelSpec, backend: OnnxBackend, converted: Converted, another: Converted
) -> None:
    load_predictor(colours, CPU, 1, backend)
    put_another(converted, another)
    with pytest.raises(ParityError, match=f"{backend} does not answer"):
        load_predictor(colours, CPU, 1, backend)
