"""ONNX Runtime on an NVIDIA GPU, with its own CUDA kernels or with TensorRT.

Crops are uploaded as they are, from page-locked memory where they lie in it, and the graph
normalises them on the GPU.

With CUDA's kernels a session prepares each convolution anew whenever the size of the batch is
another one than before, for 0.07 to 0.6 seconds (measured with ONNX Runtime 1.31 on an H100). So
each size that is used has a session of its own, and a batch is filled up to the next one.
"""

from __future__ import annotations

import ctypes
import importlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from worker.kernels import Kernels
from worker.predictor.backends.onnx_graph import CROPS

__all__ = [
    "OnnxRuntimeGpuBackend",
    "Provider",
    "batch_sizes",
    "gpu_backend_name",
    "gpu_providers",
]

Provider = tuple[str, dict[str, str]]
"""The name of what computes within ONNX Runtime, and its options."""

CPU_PROVIDER: Provider = ("CPUExecutionProvider", {})
"""Computes what no provider before it can."""

USUAL_BATCH = 32
"""Images of the batch for which TensorRT chooses kernels, where larger ones may come."""

MOST_WEIGHTS = 1 << 31
"""Bytes of a GPU's memory that the weights of all sessions may take, unless two take more."""

_LIBRARIES = {"CUDAExecutionProvider": "cuda", "TensorrtExecutionProvider": "tensorrt"}

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
        # Trying all algorithms gained nothing measurable, and makes a session's first run longer.
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


def batch_sizes(capacity: int, weights: int) -> tuple[int, ...]:
    """Choose the sizes of batches that are computed; smaller ones are filled up.

    Powers of two, which the calibration measures, or fewer where the weights are large.

    Args:
        capacity: most images of a batch.
        weights: bytes; each size holds them once.

    Returns:
        The sizes, ascending; the last one is `capacity`.
    """
    sizes: tuple[int, ...] = ()
    for factor in (2, 4, capacity + 1):
        sizes, size = (), 1
        while size < capacity:
            sizes, size = (*sizes, size), size * factor
        sizes = (*sizes, capacity)
        if len(sizes) * weights <= MOST_WEIGHTS:
            break
    return sizes


class OnnxRuntimeGpuBackend:
    """A network as an ONNX file that takes crops.

    Args:
        providers: what computes, best first; the last one takes what is left.
        kernels: as in `gpu_providers`.
        capacity: most images that are computed at once; larger batches are computed in parts.

    Attributes:
        name: as `gpu_backend_name` names it.

    Raises:
        ImportError: the installed ONNX Runtime lacks the first provider, or libraries for it.
        Exception: whatever the library raises for a network that it does not support.
    """

    def __init__(
        self, model: Path, providers: Sequence[Provider], kernels: Kernels, capacity: int
    ) -> None:
        self.name = gpu_backend_name(kernels)
        self._model, self._providers = model, list(providers)
        (self._wanted, _), *_ = providers
        if kernels.precision == "fp32" and kernels.tensorrt:
            # TensorRT has no option of its own against numbers of 19 bits.
            os.environ.setdefault("NVIDIA_TF32_OVERRIDE", "0")
        self._library = importlib.import_module("onnxruntime")
        if self._wanted not in self._library.get_available_providers():
            raise ImportError(f"the installed ONNX Runtime has no {self._wanted}: {_INSTALL}")
        # Its warnings are for its makers; one comes with each session.
        self._library.set_default_logger_severity(3)  # errors
        if hasattr(self._library, "preload_dlls") and self._wanted != CPU_PROVIDER[0]:
            # CUDA and cuDNN as PyPI's packages install them, where no system library is found.
            self._library.preload_dlls()
        # An engine of TensorRT is built for all sizes.
        weights = 0 if kernels.tensorrt else model.stat().st_size
        self._sizes = batch_sizes(capacity, weights)
        self._any_size = kernels.tensorrt
        self._sessions: dict[int, Any] = {}
        self._filled: npt.NDArray[np.uint8] | None = None
        self._session(self._sizes[0])

    def run_crops(self, crops: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Normalise crops and compute the network.

        Args:
            crops: `[N, H, W, 3] uint8`.

        Returns:
            `[N, C] float32`.
        """
        most = self._sizes[-1]
        parts = [self._run(crops[first : first + most]) for first in range(0, len(crops), most)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _run(self, crops: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        count = len(crops)
        size = next(size for size in self._sizes if size >= count)
        if count < size and not self._any_size:
            if self._filled is None:
                self._filled = np.zeros((self._sizes[-1], *crops.shape[1:]), np.uint8)
            # What follows are earlier crops, whose answers nobody reads.
            self._filled[:count] = crops
            crops = self._filled[:size]
        (answer,) = self._session(size).run(None, {CROPS: np.ascontiguousarray(crops)})
        scores: npt.NDArray[np.float32] = answer[:count]
        return scores

    def _session(self, size: int) -> Any:  # noqa: ANN401 - a module without types
        """The session for batches of a size, made when it is needed first."""
        key = 0 if self._any_size else size
        if key not in self._sessions:
            self._sessions[key] = self._load()
        return self._sessions[key]

    def _load(self) -> Any:  # noqa: ANN401
        options = self._library.SessionOptions()
        options.log_severity_level = 3  # errors
        try:
            # Without a fallback: it would compute with the CPU after an error.
            session = self._library.InferenceSession(
                str(self._model), options, providers=self._providers, enable_fallback=0
            )
        except Exception as error:
            if missing := self._missing():
                raise ImportError(missing) from error
            raise
        if self._wanted not in session.get_providers():
            raise ImportError(
                self._missing()
                or f"ONNX Runtime cannot start {self._wanted}: its libraries of CUDA, cuDNN or "
                "TensorRT do not go with the driver"
            )
        return session

    def _missing(self) -> str:
        """Say which library the first provider lacks; empty if it has all.

        Only after it was not to be had: it must be loaded by ONNX Runtime first.
        """
        name = _LIBRARIES.get(self._wanted)
        if name is None:
            return ""
        directory = Path(str(self._library.__file__)).parent / "capi"
        try:
            ctypes.CDLL(str(directory / f"libonnxruntime_providers_{name}.so"))
        except OSError as error:
            return f"ONNX Runtime cannot start {self._wanted}, which needs a library: {error}"
        return ""
