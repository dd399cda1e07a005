"""ONNX Runtime and OpenVINO on a real model: converted once, and right for every batch."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from demo.images import photographs
from worker import create_pipeline
from worker.cache import CACHE_VARIABLE, sha256_of
from worker.device import CPU
from worker.errors import ModelError
from worker.inference.placement import available_cores, place
from worker.inference.protocol import BackendName
from worker.inference.selection_cache import SelectionCache, SelectionRecord
from worker.inference.trials import Trial
from worker.kernels import Precision
from worker.model import ModelSpec, load_model_spec
from worker.predictor.backends import Backend
from worker.predictor.backends.conversion import Converted, to_onnx
from worker.predictor.backends.onnxruntime import OnnxRuntimeBackend
from worker.predictor.backends.openvino import OpenVinoBackend
from worker.predictor.backends.paddle import PaddleBackend
from worker.predictor.loading import ONNX_BACKENDS, load_predictor
from worker.predictor.parity import TOLERANCE, probe_crops
from worker.predictor.predictor import Predictor
from worker.runtime.child_environment import child_environment
from worker.settings import BatchingSettings


@pytest.fixture(scope="module")
def converted(spec: ModelSpec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return to_onnx(spec, tmp_path_factory.mktemp("onnx")).path


@pytest.mark.parametrize("make", [OnnxRuntimeBackend, OpenVinoBackend])
def test_answers_are_plain_paddles(
    spec: ModelSpec, converted: Path, make: Callable[[Path, int], Backend]
) -> None:
    plain = Predictor(spec, PaddleBackend(spec, CPU, 1, onednn=False))
    candidate = Predictor(spec, make(converted, 1))
    crops = probe_crops(spec.input_size)
    expected = plain.scores(crops)
    for count in (4, 1, 3):
        np.testing.assert_allclose(candidate.scores(crops[:count]), expected[:count], atol=1e-5)
    first = candidate.scores(crops[:1])
    candidate.scores(crops[1:2])
    np.testing.assert_allclose(first, expected[:1], atol=1e-5)  # not overwritten by the next
    assert TOLERANCE > 1e-5


LOADING = """
import sys
from pathlib import Path
from worker.predictor.backends.onnxruntime import OnnxRuntimeBackend
from worker.predictor.backends.openvino import OpenVinoBackend
for load in (OnnxRuntimeBackend, OpenVinoBackend):
    load(Path(sys.argv[1]), 1)
"""
REPORTS_NOT_IN_CI = ("CI", "GITHUB_ACTIONS", "JENKINS_URL", "TF_BUILD")


def test_libraries_leave_no_identifier_in_the_users_home(converted: Path, tmp_path: Path) -> None:
    environ = {
        name: value
        for name, value in os.environ.items()
        if name not in REPORTS_NOT_IN_CI and not name.startswith("XDG_")
    }
    subprocess.run(
        [sys.executable, "-c", LOADING, str(converted)],
        env=child_environment(environ, HOME=str(tmp_path)),
        check=True,
        timeout=60,
    )
    assert list(tmp_path.rglob("*")) == []


def test_openvino_leaves_it_to_the_system_on_which_core_a_slot_runs(
    converted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    openvino = importlib.import_module("openvino")
    compiled: list[Any] = []
    compile_model = openvino.Core.compile_model

    def compile_and_keep(*arguments: Any) -> Any:
        compiled.append(compile_model(*arguments))
        return compiled[0]

    monkeypatch.setattr(openvino.Core, "compile_model", compile_and_keep)
    OpenVinoBackend(converted, 1)
    (model,) = compiled
    assert model.get_property("ENABLE_CPU_PINNING") is False


@pytest.mark.parametrize(
    ("precision", "told", "name"), [("fp32", "f32", "openvino"), ("bf16", "bf16", "openvino+bf16")]
)
def test_openvino_is_told_the_precision(
    converted: Path, monkeypatch: pytest.MonkeyPatch, precision: Precision, told: str, name: str
) -> None:
    openvino = importlib.import_module("openvino")
    options: list[dict[str, Any]] = []
    compile_model = openvino.Core.compile_model

    def compile_and_keep(core: Any, model: str, device: str, given: dict[str, Any]) -> Any:
        options.append(given)
        return compile_model(core, model, device, given)

    monkeypatch.setattr(openvino.Core, "compile_model", compile_and_keep)
    backend = OpenVinoBackend(converted, 1, precision=precision)
    assert backend.name == name
    assert [given["INFERENCE_PRECISION_HINT"] for given in options] == [told]


def test_a_model_is_converted_once(spec: ModelSpec, converted: Path) -> None:
    made = converted.stat()
    assert to_onnx(spec, converted.parent) == Converted(converted, sha256_of(converted))
    assert converted.stat().st_mtime_ns == made.st_mtime_ns


def test_a_converted_model_needs_no_directory_that_can_be_written(
    spec: ModelSpec, converted: Path
) -> None:
    lock = converted.with_suffix(".lock")
    lock.unlink()
    lock.mkdir()  # nobody can open it to write, root neither
    try:
        assert to_onnx(spec, converted.parent).path == converted
    finally:
        lock.rmdir()


def test_a_cache_that_cannot_be_written_is_named(
    spec: ModelSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file"))
    with pytest.raises(ModelError) as refusal:
        load_predictor(spec, CPU, 1, "onnxruntime")
    assert str(refusal.value) == (
        f"onnxruntime needs {spec.name} as ONNX, and {tmp_path / 'file' / 'onnx'} cannot be "
        "written (Not a directory): name another directory in CLASSIFY_WORKER_CACHE, or set "
        "predictor.backend to paddle"
    )


def test_converting_installs_nothing(spec: ModelSpec, tmp_path: Path) -> None:
    """Polygraphy, the converter's default optimiser, runs pip; it must not even be loaded."""
    program = (
        "import sys; from worker.predictor.backends.conversion import main; main(); "
        "sys.exit('polygraphy' in sys.modules)"
    )
    target = tmp_path / "model.onnx"
    arguments = map(str, (os.getpid(), spec.program, spec.params, target))
    command = [sys.executable, "-c", program, *arguments]
    subprocess.run(command, capture_output=True, timeout=120, check=True)
    assert target.is_file()


def test_a_model_that_cannot_be_converted_is_named(spec: ModelSpec, tmp_path: Path) -> None:
    damaged = tmp_path / "inference.json"
    damaged.write_text('{"program": 1}')
    with pytest.raises(ModelError, match=r"inference\.json cannot be converted to ONNX \(exit "):
        to_onnx(replace(spec, program=damaged), tmp_path / "onnx")
    assert not list((tmp_path / "onnx").glob("*.onnx"))


def test_a_pipeline_takes_the_fastest(
    model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    # The system tells of no other load: what is measured once is not in doubt.
    monkeypatch.setattr("worker.runtime.other_load.PROC", tmp_path / "no-proc")
    known = photographs()[:4]
    for _ in range(2):  # the second takes what the first has chosen
        with create_pipeline(model=model_dir, device="cpu", use_hpip=True) as made:
            assert made.backend in {*ONNX_BACKENDS, "paddle+onednn"}
            results = list(made.predict([photograph.path for photograph in known]))
        assert [result["class_ids"][0] for result in results] == [each.class_id for each in known]


def test_what_was_selected_is_taken_by_later_pipelines_and_workers(
    model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setattr("worker.runtime.other_load.PROC", tmp_path / "no-proc")

    def backend(*, use_hpip: bool | None) -> tuple[str, bool]:
        with create_pipeline(model=model_dir, device="cpu", use_hpip=use_hpip) as made:
            return made.backend, made.unmeasured

    assert backend(use_hpip=None) == ("paddle+onednn", True), "nothing was selected"
    backend(use_hpip=True)
    backends: tuple[BackendName, ...] = ("paddle", "openvino", "onnxruntime")
    cores = available_cores()
    workers = SelectionCache(
        tmp_path / "selection",
        load_model_spec(model_dir).digest,
        place(CPU, 0, 0, cores),
        cores,
        BatchingSettings().max_batch,
        backends,
    )
    assert workers.read() is not None, "a worker with the default layout measures no more"
    workers.write(
        SelectionRecord(tuple(Trial(name, 1.0 + (name == "openvino")) for name in backends))
    )
    assert backend(use_hpip=None) == ("openvino", False)
    assert backend(use_hpip=False) == ("paddle+onednn", False)


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_a_pipeline_computes_with_the_backend_that_the_environment_names(
    backend: str, model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setenv("WORKER_PREDICTOR__BACKEND", backend)
    (known, *_) = photographs()
    with create_pipeline(model=model_dir, device="cpu") as made:
        assert made.backend == made.identity.backend == backend
        (result,) = made.predict(known.path)
    assert result["class_ids"][0] == known.class_id
