"""What an error says when a backend cannot be used; nothing is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.small_model import SPEC
from worker.device import CPU, Device
from worker.errors import ParityError
from worker.predictor import loading
from worker.predictor.backends.conversion import Converted
from worker.predictor.backends.cuda import CudaError


@pytest.mark.parametrize(
    ("device", "remedy"),
    [
        (CPU, "set predictor.backend to auto or paddle"),
        (
            Device("gpu", (0,)),
            "set device to cpu, or predictor.backend to paddle, which needs paddlepaddle-gpu",
        ),
    ],
)
def test_one_that_answers_otherwise_is_an_error_with_what_helps_on_the_device(
    monkeypatch: pytest.MonkeyPatch, device: Device, remedy: str
) -> None:
    def differs(*_: object) -> None:
        raise ParityError("a score differs by 0.5")

    def no_driver() -> None:
        raise CudaError("there is none")

    monkeypatch.setattr(loading, "_convert", lambda *_: Converted(Path("any.onnx"), "0" * 64))
    monkeypatch.setattr(loading, "_check", differs)
    monkeypatch.setattr(loading, "load_driver", no_driver)
    with pytest.raises(ParityError) as refused:
        loading.load_predictor(SPEC, device, 1, "onnxruntime")
    assert str(refused.value) == (
        f"onnxruntime does not answer {SPEC.name} as plain Paddle does (a score differs by 0.5): "
        f"{remedy}"
    )
