"""A backend alone, fed with tensors that are ready; arguments OWNER MODEL BACKEND THREADS."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from worker.bench import chain
from worker.bench.child import Answer, Question, answer_questions
from worker.cache import cache_directory
from worker.device import CPU
from worker.model import ModelSpec, load_model_spec
from worker.predictor.backends import Backend
from worker.predictor.backends.conversion import to_onnx
from worker.predictor.backends.paddle import PaddleBackend
from worker.predictor.loading import ONNX_BACKENDS

__all__ = ["main"]


def main() -> None:
    """Answer `{batch, seconds}` with `{images, seconds, cpu}`, or be in a chain."""
    answer_questions(_prepare)


def _prepare(arguments: list[str]) -> Callable[[Question], Answer]:
    model, backend, threads = arguments
    spec = load_model_spec(Path(model))
    network = _load(spec, backend, int(threads))
    height, width = spec.input_size
    # As large as normalised pixels are: denormal numbers, say, would be slower.
    random = np.random.default_rng(0)

    def run(question: Question) -> Answer:
        batch = random.standard_normal((question["batch"], 3, height, width), np.float32)
        network.run(batch)
        if chain.TAKE in question:
            chain.work_on(question, lambda images: network.run(batch[:images]))
        began, cpu, images = time.perf_counter(), time.process_time(), 0
        while (took := time.perf_counter() - began) < question["seconds"] or not images:
            network.run(batch)
            images += len(batch)
        return {"images": images, "seconds": took, "cpu": time.process_time() - cpu}

    return run


def _load(spec: ModelSpec, backend: str, threads: int) -> Backend:
    if backend == "paddle":
        return PaddleBackend(spec, CPU, threads)
    path = to_onnx(spec, cache_directory() / "onnx").path
    for name, load in ONNX_BACKENDS.items():
        if name == backend:
            return load(path, threads, solo=False)
    raise ValueError(f"there is no backend {backend!r}")
