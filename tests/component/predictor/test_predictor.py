"""The real network: the same answers in any batch, and damaged files that are named."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from worker.device import CPU
from worker.errors import ModelError
from worker.model import ModelSpec, load_model_spec
from worker.predictor.backends import own_sentence
from worker.predictor.backends.paddle import PaddleBackend
from worker.predictor.loading import load_predictor

HEIGHT, WIDTH = 3, 5


def crops(count: int, value: int = 0) -> npt.NDArray[np.uint8]:
    return np.full((count, HEIGHT, WIDTH, 3), value, np.uint8)


def test_the_real_model_answers_each_image_alike_in_any_batch(
    spec: ModelSpec, crops: list[npt.NDArray[np.uint8]]
) -> None:
    predictor = load_predictor(spec, CPU, 1)
    assert predictor.classes == 1000
    together = predictor.scores(np.stack(crops))
    np.testing.assert_allclose(together.sum(axis=1), 1, rtol=1e-4)
    for crop, scores in zip(crops, together, strict=True):
        np.testing.assert_allclose(predictor.scores(crop[None])[0], scores, atol=1e-5)


def truncate(model: Path) -> None:
    params = model / "inference.pdiparams"
    params.write_bytes(params.read_bytes()[:1_000_000])


def overwrite(model: Path) -> None:
    (model / "inference.pdiparams").write_bytes(b"x" * 1000)


def break_program(model: Path) -> None:
    (model / "inference.json").write_text('{"a": 1}')


def remove(model: Path) -> None:
    shutil.rmtree(model)


@pytest.mark.parametrize("damage", [truncate, overwrite, break_program, remove])
def test_a_damaged_model_is_named(
    damage: Callable[[Path], None], model_dir: Path, tmp_path: Path
) -> None:
    model = Path(shutil.copytree(model_dir, tmp_path / "model"))
    spec = load_model_spec(model)
    damage(model)
    with pytest.raises(ModelError) as raised:
        load_predictor(spec, CPU, 1)
    message = str(raised.value)
    assert str(model / "inference.json") in message
    assert "inference.pdiparams" in message
    assert "\n" not in message


def test_a_real_error_of_paddles_keeps_its_sentence(spec: ModelSpec) -> None:
    backend = PaddleBackend(spec, CPU, 1, onednn=False)
    with pytest.raises(Exception, match="operator < ") as raised:
        backend.run(np.zeros((1, 4, 224, 224), np.float32))
    sentence = own_sentence(raised.value)
    assert sentence.startswith("InvalidArgumentError: ")
    assert "the input's channels is 4" in sentence
    assert not any(word in sentence for word in ("Hint", "operator <", ".cc:"))
