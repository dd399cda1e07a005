"""Normalisation by Paddle's own operators, on the CPU: the same code as on a GPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from worker.cache import CACHE_VARIABLE
from worker.device import CPU, Device
from worker.errors import ModelError
from worker.model import ModelSpec
from worker.predictor.backends.paddle import PaddleBackend
from worker.predictor.backends.paddle_crops import PaddleCropBackend
from worker.predictor.loading import _load_paddle_on_gpu
from worker.predictor.parity import probe_crops
from worker.predictor.predictor import Predictor


def test_answers_are_those_of_crops_that_the_processor_normalised(spec: ModelSpec) -> None:
    expected = Predictor(spec, PaddleBackend(spec, CPU, 1, onednn=False))
    candidate = Predictor(spec, PaddleCropBackend(spec, CPU, 1))
    assert candidate.backend == "paddle"
    crops = probe_crops(spec.input_size)
    scores = expected.scores(crops)
    for count in (4, 1, 3):
        np.testing.assert_allclose(candidate.scores(crops[:count]), scores[:count], atol=1e-6)
    first = candidate.scores(crops[:1])
    candidate.scores(crops[1:2])
    np.testing.assert_allclose(first, scores[:1], atol=1e-6)  # not overwritten by the next


def test_a_gpu_that_paddle_cannot_use_is_named(spec: ModelSpec) -> None:
    with pytest.raises(ModelError, match="gpu:0: the installed paddlepaddle has no CUDA"):
        PaddleCropBackend(spec, Device.parse("gpu:0"), 1)


@pytest.fixture
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))


@pytest.mark.usefixtures("_cache")
def test_where_the_device_cannot_normalise_the_processor_does(
    spec: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a GPU is given is given the CPU here."""
    crops = probe_crops(spec.input_size)
    normalised: list[int] = []
    run_crops = PaddleCropBackend.run_crops

    def counted(self: PaddleCropBackend, crops: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        normalised.append(len(crops))
        return run_crops(self, crops)

    monkeypatch.setattr(PaddleCropBackend, "run_crops", counted)
    expected = _load_paddle_on_gpu(spec, CPU, 1, "fp32").scores(crops)
    assert normalised[-1] == 4

    def refuse(self: PaddleCropBackend, crops: npt.NDArray[np.uint8]) -> None:
        raise RuntimeError("no such place")

    monkeypatch.setattr(PaddleCropBackend, "run_crops", refuse)
    # The result of the check is kept, and no longer counts once the library is another one.
    monkeypatch.setattr("worker.predictor.loading.paddle_version", lambda: "another")
    without = _load_paddle_on_gpu(spec, CPU, 1, "fp32")
    np.testing.assert_allclose(without.scores(crops), expected, atol=1e-6)
