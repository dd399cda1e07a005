"""Loads a model with the backend that the owner names, if that answers as plain Paddle does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from worker.cache import CACHE_VARIABLE, cache_directory
from worker.device import Device
from worker.errors import ModelError, ParityError
from worker.hpip import CONVERTER, OnnxBackend, package_version
from worker.inference.protocol import BackendName
from worker.model import ModelSpec
from worker.predictor.backends import Backend, own_sentence
from worker.predictor.backends.conversion import Converted, to_onnx
from worker.predictor.backends.onnxruntime import OnnxRuntimeBackend
from worker.predictor.backends.openvino import OpenVinoBackend
from worker.predictor.backends.paddle import PaddleBackend, onednn_version
from worker.predictor.parity import load_checked
from worker.predictor.parity_cache import ParityCache
from worker.predictor.predictor import Predictor

__all__ = ["ONNX_BACKENDS", "load_predictor"]


class OnnxLoader(Protocol):
    """Loads a converted model."""

    def __call__(self, model: Path, threads: int, *, solo: bool) -> Backend:
        """Load `model`, to be computed on `threads` CPU threads; `solo` as in `load_predictor`."""
        ...


ONNX_BACKENDS: Mapping[OnnxBackend, OnnxLoader] = {
    "onnxruntime": OnnxRuntimeBackend,
    "openvino": OpenVinoBackend,
}
"""What loads a converted model, with a number of threads, by the backend's name."""


def load_predictor(
    spec: ModelSpec,
    device: Device,
    threads: int,
    backend: BackendName = "paddle",
    *,
    solo: bool = False,
) -> Predictor:
    """Load a model onto a device.

    On CPU Paddle computes with oneDNN where that passes the parity check, else with its own
    kernels.

    Args:
        device: a single one; only Paddle computes on devices other than the CPU.
        threads: CPU threads.
        solo: whether it computes while nothing else does, so that its threads may spin.

    Returns:
        The predictor, its backend having passed the parity check.

    Raises:
        ModelError: the backend cannot load the model, the model is no classifier of the given
            size or cannot be converted, or the backend does not pass the parity check
            (`ParityError`).
        UnfitSystemError: Paddle cannot be loaded on this system.
    """
    if device.kind != "cpu":
        return Predictor(spec, PaddleBackend(spec, device, threads))

    def plain() -> Predictor:
        return Predictor(spec, PaddleBackend(spec, device, threads, onednn=False))

    def check(candidate: Callable[[], Predictor], versions: str) -> Predictor:
        cache = ParityCache(cache_directory() / "parity", spec.digest, versions)
        return load_checked(candidate, plain, spec.input_size, cache)

    if backend == "paddle":
        try:
            return check(
                lambda: Predictor(spec, PaddleBackend(spec, device, threads)), onednn_version()
            )
        except ParityError:
            return plain()
    network = _convert(spec, backend)
    versions = [f"{name} {package_version(name)}" for name in (backend, CONVERTER)]
    # The result holds for this very file, which might be replaced together with its digest.
    checked = ", ".join((*versions, network.digest))
    try:
        return check(lambda: _load_converted(spec, network, threads, backend, solo=solo), checked)
    except ParityError as error:
        raise ParityError(
            f"{backend} does not answer {spec.name} as plain Paddle does ({error}): "
            "set predictor.backend to auto or paddle"
        ) from error


def _convert(spec: ModelSpec, backend: OnnxBackend) -> Converted:
    directory = cache_directory() / "onnx"
    try:
        return to_onnx(spec, directory)
    except OSError as error:
        raise ModelError(
            f"{backend} needs {spec.name} as ONNX, and {directory} cannot be written "
            f"({error.strerror}): name another directory in {CACHE_VARIABLE}, or set "
            "predictor.backend to paddle"
        ) from error


def _load_converted(
    spec: ModelSpec, network: Converted, threads: int, backend: OnnxBackend, *, solo: bool
) -> Predictor:
    # Each library has errors of its own for a network that it does not support.
    try:
        loaded = ONNX_BACKENDS[backend](network.path, threads, solo=solo)
    except Exception as error:
        raise ModelError(f"{backend} cannot load {spec.name}: {own_sentence(error)}") from error
    return Predictor(spec, loaded)
