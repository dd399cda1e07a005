"""A predictor alone on a device; arguments OWNER MODEL BACKEND DEVICE PRECISION TENSORRT."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np

from worker.bench.child import Answer, Question, answer_questions
from worker.bench.device import BATCHES
from worker.device import Device
from worker.inference.protocol import BackendName
from worker.kernels import Kernels, Precision
from worker.model import load_model_spec
from worker.predictor.loading import load_predictor

__all__ = ["main"]


def main() -> None:
    """Answer `{batch, seconds}` with `{backend, images, seconds, cpu}`."""
    answer_questions(_prepare)


def _prepare(arguments: list[str]) -> Callable[[Question], Answer]:
    model, backend, device, precision, tensorrt = arguments
    spec = load_model_spec(Path(model))
    predictor = load_predictor(
        spec,
        Device.parse(device),
        1,
        cast("BackendName", backend),
        kernels=Kernels(cast("Precision", precision), bool(int(tensorrt))),
        capacity=max(BATCHES),
    )
    height, width = spec.input_size
    random = np.random.default_rng(0)

    def run(question: Question) -> Answer:
        crops = random.integers(0, 256, (question["batch"], height, width, 3), np.uint8)
        predictor.scores(crops)
        began, cpu, images = time.perf_counter(), time.process_time(), 0
        while (took := time.perf_counter() - began) < question["seconds"] or not images:
            predictor.scores(crops)
            images += len(crops)
        cpu = time.process_time() - cpu
        return {"backend": predictor.backend, "images": images, "seconds": took, "cpu": cpu}

    return run
