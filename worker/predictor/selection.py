"""The fastest way to compute a model that answers as Paddle does; on CPU, where there is a choice.

Each candidate is judged once per model against plain Paddle (see `agreement`), then raced against
Paddle with oneDNN. The winner is kept in the cache directory, so that only the first start races.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import numpy as np

from worker.cache import cache_directory, write_whole
from worker.errors import SettingsError
from worker.model import ModelSpec
from worker.predictor.backends import Backend
from worker.predictor.backends.conversion import CONVERTER, to_onnx
from worker.predictor.backends.onnxruntime import OnnxRuntimeBackend
from worker.predictor.backends.openvino import OpenVinoBackend
from worker.predictor.backends.paddle import PaddleBackend
from worker.predictor.parity import probe_crops, trusted
from worker.predictor.parity_cache import VerdictStore, processor
from worker.predictor.predictor import Predictor, load_predictor

__all__ = ["load_fastest"]

CANDIDATES: Mapping[str, Callable[[Path, int], Backend]] = {
    "onnxruntime": OnnxRuntimeBackend,
    "openvino": OpenVinoBackend,
}
PADDLE = "paddle"

RACE = 0.5
"""Seconds that each runner computes in a race."""


def load_fastest(spec: ModelSpec, device: str, threads: int, batch: int) -> Predictor:
    """Load a model with the backend that computes it fastest; with Paddle's own on other devices.

    Args:
        device: `cpu`, or `gpu:N` and the like with one index.
        threads: CPU threads.
        batch: images at once, for which the choice is made.

    Raises:
        SettingsError: on CPU, nothing is installed to choose from.
        ModelError: Paddle cannot load the model.
    """
    if device != "cpu":
        return load_predictor(spec, device, threads)
    names = _installed()
    if not names:
        raise SettingsError(
            "high-performance inference needs onnxruntime or openvino, and paddle2onnx: "
            "pip install 'classify-worker[hpip]'"
        )
    kept = _kept_choice(spec, threads, batch, names)
    with suppress(OSError, UnicodeDecodeError):
        chosen = kept.read_text("utf-8")
        predictor = _load(chosen, spec, threads) if chosen in (*names, PADDLE) else None
        if predictor is not None:
            return predictor
    winner, predictor = _race(spec, threads, batch, names)
    with suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_whole(kept, winner.encode())
    return predictor


def _installed() -> list[str]:
    if importlib.util.find_spec(CONVERTER) is None:
        return []
    return [name for name in CANDIDATES if importlib.util.find_spec(name) is not None]


def _load(name: str, spec: ModelSpec, threads: int) -> Predictor | None:
    """A runner by its name; None when it does not answer as Paddle does."""
    if name == PADDLE:
        return load_predictor(spec, "cpu", threads)
    cache = cache_directory()

    def candidate() -> Predictor:
        return Predictor(spec, CANDIDATES[name](to_onnx(spec, cache / "onnx"), threads))

    def plain() -> Predictor:
        return Predictor(spec, PaddleBackend(spec, "cpu", threads, onednn=False))

    version = f"{name} {importlib.metadata.version(name)}"
    verdicts = VerdictStore(cache / "agreement", spec.digest, version)
    judged = trusted(candidate, plain, spec.input_size, verdicts)
    return judged if judged.backend == name else None


def _race(spec: ModelSpec, threads: int, batch: int, names: list[str]) -> tuple[str, Predictor]:
    """The name of the fastest runner, and it."""
    best: tuple[float, str, Predictor] | None = None
    for name in (PADDLE, *names):
        runner = _load(name, spec, threads)
        if runner is None:
            continue
        seconds = _time(runner, spec, batch)
        # Only two are in memory at a time: the one to beat, and the one that tries.
        if best is None or seconds < best[0]:
            best = seconds, name, runner
    assert best is not None  # Paddle is loaded, or has raised
    return best[1], best[2]


def _time(runner: Predictor, spec: ModelSpec, batch: int) -> float:
    """Seconds of the quickest run: others on the machine can only make it slower."""
    probes = probe_crops(spec.input_size)
    crops = np.resize(probes, (batch, *probes.shape[1:]))
    runner.scores(crops)  # the first run prepares for the shape
    quickest, end = float("inf"), time.perf_counter() + RACE
    while True:
        began = time.perf_counter()
        runner.scores(crops)
        now = time.perf_counter()
        quickest = min(quickest, now - began)
        if now >= end:
            return quickest


def _kept_choice(spec: ModelSpec, threads: int, batch: int, names: list[str]) -> Path:
    """Where the choice is kept, for this model, machine and set of libraries."""
    versions = [f"{name} {importlib.metadata.version(name)}" for name in names]
    facts = "\n".join((spec.digest, *versions, processor(), f"{threads} threads, {batch} images"))
    key = sha256(facts.encode()).hexdigest()[:32]
    return cache_directory() / "fastest" / key
