"""Loads a model with the backend that the owner names, if that answers as plain Paddle does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from worker.cache import CACHE_VARIABLE, cache_directory
from worker.device import CPU, Device
from worker.errors import ModelError, ParityError
from worker.hpip import CONVERTER, OnnxBackend, package_version
from worker.inference.protocol import BackendName
from worker.kernels import PLAIN_KERNELS, Kernels, Precision
from worker.model import ModelSpec
from worker.predictor.backends import Backend, CropBackend, own_sentence
from worker.predictor.backends.conversion import Converted, to_onnx
from worker.predictor.backends.cuda import CudaError, load_driver
from worker.predictor.backends.onnx_graph import PLAIN_FORM, Form
from worker.predictor.backends.onnxruntime import OnnxRuntimeBackend
from worker.predictor.backends.onnxruntime_gpu import OnnxRuntimeGpuBackend, gpu_providers
from worker.predictor.backends.openvino import OpenVinoBackend
from worker.predictor.backends.paddle import PaddleBackend, paddle_version
from worker.predictor.backends.paddle_crops import PaddleCropBackend
from worker.predictor.parity import load_checked
from worker.predictor.parity_cache import ParityCache
from worker.predictor.predictor import Predictor

__all__ = ["ONNX_BACKENDS", "load_predictor"]


class OnnxLoader(Protocol):
    """Loads a converted model onto the CPU."""

    def __call__(
        self, model: Path, threads: int, *, solo: bool, precision: Precision = "fp32"
    ) -> Backend:
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
    kernels: Kernels = PLAIN_KERNELS,
    capacity: int = 1,
) -> Predictor:
    """Load a model onto a device.

    On CPU Paddle computes with oneDNN where that passes the parity check, else with its own
    kernels. On a GPU crops are normalised there, where that passes.

    Args:
        device: a single one; only Paddle computes on devices other than CPU and GPU.
        threads: CPU threads.
        solo: whether it computes while nothing else does, so that its threads may spin.
        kernels: how it computes; see `worker.inference.choice.check_choice` for what goes with
            what.
        capacity: most images of a batch, for engines that are built for it.

    Returns:
        The predictor, its backend having passed the parity check.

    Raises:
        ModelError: the backend cannot load the model, the model is no classifier of the given
            size or cannot be converted, or the backend does not pass the parity check
            (`ParityError`).
        UnfitSystemError: Paddle cannot be loaded on this system.
    """
    precision = kernels.precision
    if device.kind == "gpu":
        if backend == "onnxruntime":
            return _load_onnxruntime_on_gpu(spec, device, threads, kernels, capacity)
        return _load_paddle_on_gpu(spec, device, threads, precision)
    if device.kind != "cpu":
        return Predictor(spec, PaddleBackend(spec, device, threads))
    if backend == "paddle":
        return _load_paddle_on_cpu(spec, threads, precision)

    def load(model: Path) -> Backend:
        return ONNX_BACKENDS[backend](model, threads, solo=solo, precision=precision)

    return _load_converted(spec, backend, load, threads, kernels.facts, precision=precision)


def _load_paddle_on_cpu(spec: ModelSpec, threads: int, precision: Precision) -> Predictor:
    def load() -> Predictor:
        return Predictor(spec, PaddleBackend(spec, CPU, threads, precision=precision))

    versions = " ".join((f"paddle+onednn {paddle_version()}", *Kernels(precision).facts))
    plain = _plain(spec, CPU, threads)
    try:
        return _check(spec, load, plain, versions, precision)
    except ParityError as error:
        if precision == "fp32":
            return plain()
        raise _too_inexact(spec, "paddle", precision, error) from error


def _load_paddle_on_gpu(
    spec: ModelSpec, device: Device, threads: int, precision: Precision
) -> Predictor:
    def on_device() -> Predictor:
        return Predictor(spec, PaddleCropBackend(spec, device, threads, precision))

    def on_processor() -> Predictor:
        return Predictor(spec, PaddleBackend(spec, device, threads, precision=precision))

    # Against itself, as it has always computed there: with fp32, and normalised by the processor.
    plain = _plain(spec, device, threads)
    versions = f"paddle {paddle_version()} {precision} on {_gpu_name(device)}"
    try:
        return _check(spec, on_device, plain, f"{versions}, which normalises", precision)
    except ParityError:
        if precision == "fp32":
            return plain()
    try:
        return _check(spec, on_processor, plain, versions, precision)
    except ParityError as error:
        raise _too_inexact(spec, "paddle", precision, error) from error


def _load_onnxruntime_on_gpu(
    spec: ModelSpec, device: Device, threads: int, kernels: Kernels, capacity: int
) -> Predictor:
    # TensorRT chooses by itself what it computes with fewer digits.
    half = kernels.precision == "fp16" and not kernels.tensorrt
    engines = cache_directory() / "tensorrt" / spec.digest.removeprefix("sha256:")[:32]
    providers = gpu_providers(device.index, kernels, spec.input_size, capacity, engines)

    def load(model: Path) -> CropBackend:
        if kernels.tensorrt:
            engines.mkdir(parents=True, exist_ok=True)
        try:
            return OnnxRuntimeGpuBackend(model, providers, kernels, capacity)
        except ImportError:
            raise
        except Exception:
            _require_gpu(device)
            raise

    facts = (*kernels.facts, _gpu_name(device))
    form = Form(crops=True, half=half)
    return _load_converted(
        spec,
        "onnxruntime",
        load,
        threads,
        facts,
        form=form,
        precision=kernels.precision,
        remedy="device to cpu, or predictor.backend to paddle, which needs paddlepaddle-gpu",
    )


def _load_converted(
    spec: ModelSpec,
    backend: OnnxBackend,
    load: Callable[[Path], Backend | CropBackend],
    threads: int,
    facts: tuple[str, ...],
    *,
    form: Form = PLAIN_FORM,
    precision: Precision = "fp32",
    remedy: str = "predictor.backend to auto or paddle",
) -> Predictor:
    network = _convert(spec, backend, form)
    versions = [f"{name} {package_version(name)}" for name in (backend, CONVERTER)]
    # The result holds for this very file, which might be replaced together with its digest.
    checked = ", ".join((*versions, network.digest, *facts))

    def candidate() -> Predictor:
        # Each library has errors of its own for a network that it does not support.
        try:
            loaded = load(network.path)
        except Exception as error:
            raise ModelError(f"{backend} cannot load {spec.name}: {own_sentence(error)}") from error
        return Predictor(spec, loaded)

    try:
        # Whose device may be one that the installed Paddle does not know.
        return _check(spec, candidate, _plain(spec, CPU, threads), checked, precision)
    except ParityError as error:
        if precision != "fp32":
            raise _too_inexact(spec, backend, precision, error) from error
        raise ParityError(
            f"{backend} does not answer {spec.name} as plain Paddle does ({error}): set {remedy}"
        ) from error


def _plain(spec: ModelSpec, device: Device, threads: int) -> Callable[[], Predictor]:
    """Plain Paddle: its own kernels, with fp32."""
    return lambda: Predictor(spec, PaddleBackend(spec, device, threads, onednn=False))


def _check(
    spec: ModelSpec,
    candidate: Callable[[], Predictor],
    plain: Callable[[], Predictor],
    versions: str,
    precision: Precision,
) -> Predictor:
    cache = ParityCache(cache_directory() / "parity", spec.digest, versions)
    return load_checked(candidate, plain, spec.input_size, cache, precision)


def _too_inexact(
    spec: ModelSpec, backend: str, precision: Precision, error: ParityError
) -> ParityError:
    return ParityError(
        f"with {precision} {backend} does not answer {spec.name} nearly as plain Paddle does "
        f"({error}): set predictor.precision to fp32, or predictor.backend to another one"
    )


def _require_gpu(device: Device) -> None:
    """Raise an error that says what is wrong, if it is the GPU and not the network.

    Raises:
        OSError: the driver does not know it.
    """
    try:
        load_driver().device_name(device.index)
    except CudaError as error:
        raise OSError(
            f"{device} cannot be used ({error}): check the driver (nvidia-smi) and "
            "CUDA_VISIBLE_DEVICES, or use cpu"
        ) from error


def _gpu_name(device: Device) -> str:
    """A GPU's name, by whose features kernels are chosen; its place where nothing tells."""
    try:
        return load_driver().device_name(device.index)
    except CudaError:
        return str(device)


def _convert(spec: ModelSpec, backend: OnnxBackend, form: Form) -> Converted:
    directory = cache_directory() / "onnx"
    try:
        return to_onnx(spec, directory, form)
    except OSError as error:
        raise ModelError(
            f"{backend} needs {spec.name} as ONNX, and {directory} cannot be written "
            f"({error.strerror}): name another directory in {CACHE_VARIABLE}, or set "
            "predictor.backend to paddle"
        ) from error
