"""ONNX Runtime on an NVIDIA GPU, with its own CUDA kernels or with TensorRT.

Crops are uploaded as they are, from page-locked memory where they lie in it, and the graph
normalises them on the GPU. A session has a stream of its own, and a slot has one session.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from worker.kernels import Kernels
from worker.predictor.backends.onnx_graph import CROPS

__all__ = ["OnnxRuntimeGpuBackend", "Provider", "gpu_backend_name", "gpu_providers"]

Provider = tuple[str, dict[str, str]]
"""The name of what computes within ONNX Runtime, and its options."""

CPU_PROVIDER: Provider = ("CPUExecutionProvider", {})
"""Computes what no provider before it can."""

USUAL_BATCH = 32
"""Images of the batch for which TensorRT chooses kernels, where larger ones may come."""

_INSTALL = "install onnxruntime-gpu in place of onnxruntime"


def gpu_providers(
    index: int,
    kernels: Kernels,
    input_size: tuple[int, int],
    capacity: int,
    engines: Path,
) -> list[Provider]:
    """Choose the providers for a GPU, and their options.

    Args:
        index: of the GPU.
        input_size: `(H, W)` in pixels.
        capacity: most images of a batch.
        engines: where TensorRT keeps what it builds.

    Returns:
        In the order in which they are given parts of the network.
    """
    exact = kernels.precision == "fp32"
    cuda = {
        "device_id": str(index),
        # Batches have many sizes, and each one would be tuned while images wait.
        "cudnn_conv_algo_search": "HEURISTIC",
        # Other slots, and other programs, may need the rest.
        "arena_extend_strategy": "kSameAsRequested",
        "use_tf32": str(int(not exact)),
    }
    providers: list[Provider] = [("CUDAExecutionProvider", cuda), CPU_PROVIDER]
    if kernels.tensorrt:
        height, width = input_size
        usual = min(capacity, USUAL_BATCH)
        crops = {count: f"{CROPS}:{count}x{height}x{width}x3" for count in (1, usual, capacity)}
        tensorrt = {
            "device_id": str(index),
            "trt_fp16_enable": str(int(kernels.precision == "fp16")),
            "trt_bf16_enable": str(int(kernels.precision == "bf16")),
            "trt_engine_cache_enable": "1",
            "trt_engine_cache_path": str(engines),
            "trt_timing_cache_enable": "1",
            "trt_timing_cache_path": str(engines),
            # One engine for all batches, in place of one more for each size that comes.
            "trt_profile_min_shapes": crops[1],
            "trt_profile_opt_shapes": crops[usual],
            "trt_profile_max_shapes": crops[capacity],
        }
        providers.insert(0, ("TensorrtExecutionProvider", tensorrt))
    return providers


def gpu_backend_name(kernels: Kernels) -> str:
    """Name what computes.

    Returns:
        Such as `onnxruntime+cuda` or `onnxruntime+tensorrt+fp16`.
    """
    reduced = "" if kernels.precision == "fp32" else f"+{kernels.precision}"
    return f"onnxruntime+{'tensorrt' if kernels.tensorrt else 'cuda'}{reduced}"


class OnnxRuntimeGpuBackend:
    """A network as an ONNX file that takes crops.

    Args:
        providers: what computes, best first; the last one takes what is left.
        kernels: as in `gpu_providers`.

    Attributes:
        name: as `gpu_backend_name` names it.

    Raises:
        ImportError: the installed ONNX Runtime lacks the first provider, or libraries for it.
        Exception: whatever the library raises for a network that it does not support.
    """

    def __init__(self, model: Path, providers: Sequence[Provider], kernels: Kernels) -> None:
        self.name = gpu_backend_name(kernels)
        (wanted, _), *_ = providers
        if kernels.precision == "fp32":
            # TensorRT has no option of its own against numbers of 19 bits.
            os.environ.setdefault("NVIDIA_TF32_OVERRIDE", "0")
        library = importlib.import_module("onnxruntime")
        if wanted not in library.get_available_providers():
            raise ImportError(f"the installed ONNX Runtime has no {wanted}: {_INSTALL}")
        if hasattr(library, "preload_dlls") and wanted != CPU_PROVIDER[0]:
            # CUDA and cuDNN as PyPI's packages install them, where no system library is found.
            library.preload_dlls()
        session_options = library.SessionOptions()
        session_options.log_severity_level = 3  # errors
        self._session = library.InferenceSession(
            str(model), session_options, providers=list(providers)
        )
        # It would go on with the CPU after an error, and before the first run already has if CUDA's
        # libraries are missing.
        self._session.disable_fallback()
        if wanted not in self._session.get_providers():
            raise ImportError(
                f"ONNX Runtime cannot start {wanted}: its libraries of CUDA, cuDNN or TensorRT are "
                "missing, or do not go with the driver"
            )
        (self._output,) = (each.name for each in self._session.get_outputs())

    def run_crops(self, crops: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Normalise crops and compute the network.

        Args:
            crops: `[N, H, W, 3] uint8`.

        Returns:
            `[N, C] float32`.
        """
        binding = self._session.io_binding()
        # Uploads them as it binds them.
        binding.bind_cpu_input(CROPS, np.ascontiguousarray(crops))
        binding.bind_output(self._output, "cpu")
        binding.synchronize_inputs()
        self._session.run_with_iobinding(binding)
        binding.synchronize_outputs()
        answer: npt.NDArray[np.float32] = binding.copy_outputs_to_cpu()[0]
        return answer
