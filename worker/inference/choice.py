"""Which backends, devices and precisions go together; nothing is loaded to find out."""

from __future__ import annotations

import importlib.util
import runpy
from pathlib import Path
from typing import get_args

from worker.device import Device
from worker.errors import ModelError, SettingsError, UnfitSystemError
from worker.hpip import OnnxBackend, has_gpu_provider, missing_packages, remedy
from worker.inference.protocol import BackendName
from worker.kernels import PLAIN_KERNELS, Kernels
from worker.runtime.processor import has_bfloat16
from worker.settings import BackendChoice

__all__ = ["candidates", "check_choice", "is_cpu_build"]


def check_choice(choice: BackendChoice, device: Device, kernels: Kernels = PLAIN_KERNELS) -> None:
    """Refuse a backend, or a way to compute, that cannot be used here, before anything is loaded.

    Raises:
        SettingsError: it does not go with the device, or with the other settings.
        UnfitSystemError: it is not installed, or the processor lacks what it needs; the message
            says what to do.
        ModelError: it is `auto`, and nothing that is installed computes on the device.
    """
    _check_device(choice, device)
    _check_tensorrt(choice, device, kernels)
    _check_precision(choice, device, kernels)
    match choice:
        case "auto":
            candidates(device, kernels)
            return
        case "paddle":
            return
    if missing := missing_packages(choice):
        raise UnfitSystemError(
            f"predictor.backend: {choice} needs {' and '.join(missing)}, not installed here; "
            f"{remedy()}; or set predictor.backend to auto or paddle"
        )
    if device.kind == "gpu" and not has_gpu_provider("cuda"):
        raise UnfitSystemError(
            f"predictor.backend: the installed onnxruntime has no CUDA, and device is {device}: "
            "install onnxruntime-gpu in its place, set predictor.backend to auto or paddle, or "
            "device to cpu"
        )
    if kernels.tensorrt and not has_gpu_provider("tensorrt"):
        raise UnfitSystemError(
            "predictor.tensorrt: the installed onnxruntime has no TensorRT: install "
            "onnxruntime-gpu in its place, or set predictor.tensorrt to false"
        )


def candidates(device: Device, kernels: Kernels = PLAIN_KERNELS) -> tuple[BackendName, ...]:
    """Find the backends that `auto` chooses from.

    Returns:
        Those that are installed and have kernels of this precision for the device, at least one, in
        the order in which they are tried: Paddle first, by which the others are judged, and what
        usually wins last, which need not be loaded again.

    Raises:
        ModelError: there is none; the message says what to install.
    """
    names: tuple[OnnxBackend, ...] = get_args(OnnxBackend)
    others = [name for name in reversed(names) if _may_compute(name, device, kernels)]
    if device.kind != "gpu" or not is_cpu_build():
        return ("paddle", *others)
    if not others:
        # Which has no bf16 there.
        reduced = ", with predictor.precision fp16" if kernels.precision == "bf16" else ""
        raise ModelError(
            f"{device.split()[0]}: the installed paddlepaddle has no CUDA: install "
            "paddlepaddle-gpu, or onnxruntime-gpu (in place of onnxruntime) and paddle2onnx"
            f"{reduced}; or use cpu"
        )
    return tuple(others)


def is_cpu_build() -> bool:
    """Whether the installed Paddle is built for CPUs alone; found out without loading it.

    Returns:
        True if its own table of versions says so; False for any other build, and when in doubt.
    """
    spec = importlib.util.find_spec("paddle")
    if spec is None or spec.origin is None:
        return False
    try:
        versions = runpy.run_path(str(Path(spec.origin).with_name("version") / "__init__.py"))
    except Exception:  # noqa: BLE001 - loading Paddle reports what is wrong with it
        return False
    accelerators = ("cuda_version", "hip_version", "xpu_xre_version")
    return "cuda_version" in versions and all(
        versions.get(name) in (None, "False") for name in accelerators
    )


def _may_compute(name: OnnxBackend, device: Device, kernels: Kernels) -> bool:
    try:
        check_choice(name, device, kernels)
    except (SettingsError, UnfitSystemError):
        return False
    return True


def _check_device(choice: BackendChoice, device: Device) -> None:
    where = {"onnxruntime": ("cpu", "gpu"), "openvino": ("cpu",)}.get(choice)
    if where is None or device.kind in where:
        return
    computes = "the CPU alone" if where == ("cpu",) else "CPUs and NVIDIA's GPUs alone"
    raise SettingsError(
        f"predictor.backend: {choice} computes on {computes}, and device is {device}: "
        "set predictor.backend to auto or paddle, or device to cpu"
    )


def _check_tensorrt(choice: BackendChoice, device: Device, kernels: Kernels) -> None:
    if not kernels.tensorrt or (device.kind == "gpu" and choice == "onnxruntime"):
        return
    raise SettingsError(
        f"predictor.tensorrt: it computes on GPUs, through ONNX Runtime; device is {device} and "
        f"predictor.backend {choice}: set them to gpu:0 and onnxruntime, or predictor.tensorrt to "
        "false"
    )


def _check_precision(choice: BackendChoice, device: Device, kernels: Kernels) -> None:
    match kernels.precision, device.kind:
        case "fp32", _:
            return
        case "fp16", "gpu":
            return
        case "bf16", "gpu":
            if choice == "onnxruntime" and not kernels.tensorrt:
                raise SettingsError(
                    "predictor.precision: on GPUs onnxruntime computes with bf16 only through "
                    "TensorRT: set it to fp16, predictor.tensorrt to true, or predictor.backend to "
                    "paddle"
                )
        case "bf16", "cpu":
            if choice == "onnxruntime":
                raise SettingsError(
                    "predictor.precision: onnxruntime does not compute with bf16 on CPU: set it to "
                    "fp32, or predictor.backend to auto, paddle or openvino"
                )
            if not has_bfloat16():
                raise UnfitSystemError(
                    "predictor.precision: this processor does not compute with bf16 (none of the "
                    "features amx_bf16, avx512_bf16, bf16): set it to fp32"
                )
        case precision, kind:
            raise SettingsError(
                f"predictor.precision: {precision} is not for the device {kind}: set it to fp32"
            )
