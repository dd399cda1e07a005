"""A backend that cannot be used ends the worker at once, with a sentence that says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.harness import Worker
from tests.support.workers import ONE_SMALL_SLOT

HIDES_IT = "import sys; sys.modules['openvino'] = None"
"""As if the package were not installed, wherever it is."""


@pytest.mark.parametrize(
    ("environ", "status", "message"),
    [
        (
            {"WORKER_PREDICTOR__BACKEND": "openvino"},
            3,
            "predictor.backend: openvino needs openvino",
        ),
        (
            {"WORKER_PREDICTOR__BACKEND": "openvino", "WORKER_DEVICE": "gpu:0"},
            2,
            "predictor.backend: openvino computes on the CPU alone, and device is gpu:0",
        ),
        (
            {"WORKER_PREDICTOR__BACKEND": "tensorrt"},
            2,
            "predictor.backend: 'tensorrt' is not one of auto, paddle, onnxruntime, openvino",
        ),
    ],
    ids=["missing", "device", "unknown"],
)
def test_it_is_an_error_before_any_model_is_loaded(
    environ: dict[str, str], status: int, message: str, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(HIDES_IT)
    settings = {**ONE_SMALL_SLOT, "WORKER_MODEL": "no-such-model", **environ}
    worker = Worker(settings, tmp_path / "log.jsonl", "serve")
    try:
        worker.start(PYTHONPATH=str(tmp_path))
        assert worker.wait(30) == status
        assert message in worker.tail()
        assert "Traceback" not in worker.tail()
    finally:
        worker.kill()
