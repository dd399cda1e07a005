"""Which backends are measured alone on a GPU; the process that measures is the test's."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import pytest

from worker.bench import device
from worker.bench.measurement import Measurement
from worker.device import Device
from worker.errors import ModelError
from worker.inference.protocol import BackendName
from worker.settings import BackendChoice, PredictorSettings

GPU = Device("gpu", (0,))


class Child:
    """Computes an image in a second, but for what Paddle cannot load."""

    def __init__(self, module: str, model: str, backend: str, *_: str, **__: object) -> None:
        self.backend = backend

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def ask(self, **_: object) -> None: ...

    def answer(self) -> dict[str, Any]:
        if self.backend == "paddle":
            raise ModelError("gpu:0: Paddle finds no GPU")
        return {"backend": f"{self.backend}+cuda", "images": 1, "seconds": 1.0, "cpu": 0.1}


def measured(
    monkeypatch: pytest.MonkeyPatch, choice: BackendChoice, *candidates: BackendName
) -> list[Measurement]:
    monkeypatch.setattr(device, "Child", Child)
    monkeypatch.setattr(device, "check_choice", lambda *_: None)
    monkeypatch.setattr(device, "candidates", lambda *_: candidates)
    return list(device.measure(Path("model"), "A", GPU, PredictorSettings(backend=choice), 0.1))


def test_with_auto_each_that_it_may_take_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    paddle, onnxruntime = measured(monkeypatch, "auto", "paddle", "onnxruntime")
    assert (paddle.name, paddle.images_per_second) == ("bare paddle", None)
    assert paddle.details == {"problem": "gpu:0: Paddle finds no GPU"}
    assert (onnxruntime.name, onnxruntime.images_per_second) == ("bare onnxruntime+cuda", 1.0)


def test_one_that_is_named_is_measured_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    (found,) = measured(monkeypatch, "onnxruntime", "paddle", "onnxruntime")
    assert found.name == "bare onnxruntime+cuda"


@pytest.mark.parametrize("choice", ["auto", "paddle"])
def test_the_only_one_that_cannot_compute_is_an_error(
    monkeypatch: pytest.MonkeyPatch, choice: BackendChoice
) -> None:
    with pytest.raises(ModelError, match="Paddle finds no GPU"):
        measured(monkeypatch, choice, "paddle")
