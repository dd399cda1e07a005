"""Normalisation by Paddle's own operators, on the CPU: the same code as on a GPU."""

from __future__ import annotations

import numpy as np
import pytest

from worker.device import CPU, Device
from worker.errors import ModelError
from worker.model import ModelSpec
from worker.predictor.backends.paddle import PaddleBackend
from worker.predictor.backends.paddle_crops import PaddleCropBackend
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
