"""Where a network is cut: before the linear layer that it ends in, or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import paddle
import pytest

from worker.errors import ModelError, TrainingError
from worker.training.child import TrainingProcess

SIDE = 32


@pytest.fixture
def exported(tmp_path: Path) -> Callable[[object], Path]:
    def export(network: object) -> Path:
        classifier = paddle.nn.Sequential(network, paddle.nn.Softmax(axis=-1))
        classifier.eval()
        images = paddle.static.InputSpec([None, 3, SIDE, SIDE], "float32", name="x")
        paddle.jit.save(classifier, str(tmp_path / "inference"), input_spec=[images])
        return tmp_path

    return export


def cut(model: Path) -> object:
    """What the process says of a model, in `model`/cut."""
    with open(os.devnull, "rb") as nothing, TrainingProcess("cut", 1, nothing.fileno()) as process:  # noqa: PTH123
        process.ask(model=str(model), to=str(model / "cut"))
        return dict(process.answer())


def test_a_network_is_cut_before_its_head(exported: Callable[[object], Path]) -> None:
    model = exported(paddle.vision.models.mobilenet_v2(scale=0.25, num_classes=7))
    assert cut(model) == {"is": "cut", "features": 1280, "classes": 7}
    backbone = paddle.jit.load(str(model / "cut"))
    assert list(backbone(paddle.zeros([2, 3, SIDE, SIDE])).shape) == [2, 1280]


def test_what_ends_in_a_convolution_is_refused(exported: Callable[[object], Path]) -> None:
    model = exported(
        paddle.nn.Sequential(
            paddle.nn.Conv2D(3, 4, 3), paddle.nn.AdaptiveAvgPool2D(1), paddle.nn.Flatten()
        )
    )
    with pytest.raises(ModelError, match=r"does not end in a linear layer .*, but in pool2d"):
        cut(model)


def test_a_process_that_dies_is_reported(tmp_path: Path) -> None:
    with open(os.devnull, "rb") as nothing, TrainingProcess("cut", 1, nothing.fileno()) as process:  # noqa: PTH123
        process.kill()
        with pytest.raises(TrainingError, match=r"`cut` ended with signal 9; a kernel that is"):
            process.answer()
