"""The fastest way to compute a model that answers as Paddle does, raced in this process.

Each backend passes the parity check once per model, then is raced against Paddle with oneDNN. The
winner is kept in the cache directory, so that only the first start races.
"""

from __future__ import annotations

import time
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import numpy as np

from worker.cache import cache_directory, write_whole
from worker.device import CPU, Device
from worker.errors import ParityError, SettingsError
from worker.hpip import OnnxBackend, installed_backends, package_version, remedy
from worker.inference.protocol import BackendName
from worker.model import ModelSpec
from worker.predictor.loading import load_predictor
from worker.predictor.parity import probe_crops
from worker.predictor.predictor import Predictor
from worker.runtime.processor import processor

__all__ = ["load_fastest"]

RACE = 0.5
"""Seconds that each backend computes in a race."""


def load_fastest(spec: ModelSpec, device: Device, threads: int, batch: int) -> Predictor:
    """Load a model with the backend that computes it fastest; with Paddle's own on other devices.

    Args:
        device: a single one.
        threads: CPU threads.
        batch: images at once, for which the choice is made.

    Raises:
        SettingsError: on CPU, nothing is installed to choose from.
        ModelError: Paddle cannot load the model.
    """
    if device.kind != "cpu":
        return load_predictor(spec, device, threads)
    names = installed_backends()
    if not names:
        raise SettingsError(f"high-performance inference needs the extra hpip: {remedy()}")
    kept = _kept_choice(spec, threads, batch, names)
    with suppress(OSError, UnicodeDecodeError):
        chosen = kept.read_text("utf-8")
        backends: tuple[BackendName, ...] = ("paddle", *names)
        for name in backends:
            if name == chosen and (predictor := _load(name, spec, threads)) is not None:
                return predictor
    winner, predictor = _race(spec, threads, batch, names)
    with suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_whole(kept, winner.encode())
    return predictor


def _load(name: BackendName, spec: ModelSpec, threads: int) -> Predictor | None:
    """A predictor by its backend's name; None when it does not answer as Paddle does."""
    try:
        return load_predictor(spec, CPU, threads, name)
    except ParityError:
        return None


def _race(
    spec: ModelSpec, threads: int, batch: int, names: tuple[OnnxBackend, ...]
) -> tuple[str, Predictor]:
    """The name of the fastest backend, and its predictor."""
    best: tuple[float, str, Predictor] | None = None
    backends: tuple[BackendName, ...] = ("paddle", *names)
    for name in backends:
        predictor = _load(name, spec, threads)
        if predictor is None:
            continue
        seconds = _time(predictor, spec, batch)
        # Only two are in memory at a time: the one to beat, and the one that tries.
        if best is None or seconds < best[0]:
            best = seconds, name, predictor
    assert best is not None  # Paddle is loaded, or has raised
    return best[1], best[2]


def _time(predictor: Predictor, spec: ModelSpec, batch: int) -> float:
    """Seconds of the quickest run: others on the machine can only make it slower."""
    probes = probe_crops(spec.input_size)
    crops = np.resize(probes, (batch, *probes.shape[1:]))
    predictor.scores(crops)  # the first run prepares for the shape
    quickest, end = float("inf"), time.perf_counter() + RACE
    while True:
        began = time.perf_counter()
        predictor.scores(crops)
        now = time.perf_counter()
        quickest = min(quickest, now - began)
        if now >= end:
            return quickest


def _kept_choice(spec: ModelSpec, threads: int, batch: int, names: tuple[OnnxBackend, ...]) -> Path:
    """Where the choice is kept, for this model, machine and set of libraries."""
    versions = [f"{name} {package_version(name)}" for name in names]
    facts = "\n".join((spec.digest, *versions, processor(), f"{threads} threads, {batch} images"))
    key = sha256(facts.encode()).hexdigest()[:32]
    return cache_directory() / "fastest" / key
