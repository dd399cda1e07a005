"""Devices for Paddle: which ones its build can use here, and how each is configured.

The configuration of each kind of device is the reference's
(`paddlex/inference/models/common/static_infer.py` and `paddlex/utils/device.py`).
"""

from __future__ import annotations

import importlib.util
import os
import runpy
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from worker.errors import ModelError
from worker.runtime.libraries import PADDLE_REMEDY, importing

if TYPE_CHECKING:
    from types import ModuleType

__all__ = [
    "PaddleBuild",
    "check_device",
    "configure_device",
    "default_device",
    "import_paddle",
    "is_cpu_build",
    "probe_build",
]

GPU_MEMORY_MIB = 512
"""First size of Paddle's GPU memory pool; it grows on demand."""

ONEDNN_SHAPES = 2
"""Input shapes whose kernels oneDNN keeps. Each batch size is a shape and costs a copy of the
weights (ResNet50: 80 MB). Under load batches are full, one shape; making kernels anew for the
others costs 4 % of a run (measured with ResNet50)."""

_ENVIRONMENT: Mapping[str, Mapping[str, str]] = {
    "npu": {
        "FLAGS_npu_jit_compile": "0",
        "FLAGS_use_stride_kernel": "0",
        "FLAGS_allocator_strategy": "auto_growth",
        "CUSTOM_DEVICE_BLACK_LIST": "pad3d,pad3d_grad,set_value,set_value_with_tensor",
        "FLAGS_npu_scale_aclnn": "True",
        "FLAGS_npu_split_aclnn": "True",
    },
    "xpu": {
        "BKCL_FORCE_SYNC": "1",
        "BKCL_TIMEOUT": "1800",
        "FLAGS_use_stride_kernel": "0",
        "XPU_BLACK_LIST": "pad3d",
    },
    "mlu": {
        "FLAGS_use_stride_kernel": "0",
        "FLAGS_use_stream_safe_cuda_allocator": "0",
    },
}
"""What Paddle and its plug-ins read from the environment when they load, by kind of device."""

_REMEDIES = {
    "gpu": "the installed paddlepaddle has no CUDA: install paddlepaddle-gpu",
    "xpu": "the installed paddlepaddle has no XPU support: install paddlepaddle-xpu",
    "npu": "Paddle's plug-in for NPUs is missing: install paddle-custom-npu",
    "mlu": "Paddle's plug-in for MLUs is missing: install paddle-custom-mlu",
}
_INVISIBLE = {
    "gpu": "check the driver (nvidia-smi) and CUDA_VISIBLE_DEVICES",
    "xpu": "check the driver (xpu-smi) and XPU_VISIBLE_DEVICES",
    "npu": "check the driver (npu-smi info) and ASCEND_RT_VISIBLE_DEVICES",
    "mlu": "check the driver (cnmon) and MLU_VISIBLE_DEVICES",
}


@dataclass(frozen=True, slots=True)
class PaddleBuild:
    """What the installed Paddle can use on this machine.

    Attributes:
        devices: number of devices by kind (`gpu`, `npu`, ...); kinds that the build does not
            support are missing.
    """

    devices: Mapping[str, int]


def import_paddle(device: str) -> ModuleType:
    """Paddle, with the environment that it must find when it loads for `device`.

    Loading takes a second, and only the processes that use it should pay. SIGTERM stays with
    whom it was.

    Raises:
        UnfitSystemError: it cannot be loaded on this system.
    """
    # 2 leaves errors, without a line per operator pass.
    os.environ.setdefault("GLOG_minloglevel", "2")
    for name, value in _ENVIRONMENT.get(device.partition(":")[0], {}).items():
        os.environ.setdefault(name, value)
    first = "paddle" not in sys.modules
    on_sigterm = signal.getsignal(signal.SIGTERM)
    with (
        warnings.catch_warnings(),
        _one_thread_named(),
        importing("PaddlePaddle", PADDLE_REMEDY),
    ):
        # Paddle warns about a missing compiler cache that inference never uses.
        warnings.simplefilter("ignore")
        import paddle  # noqa: PLC0415
        import paddle.inference  # noqa: PLC0415
    if first and on_sigterm is not None and _in_main_thread():
        # Paddle's own handler writes a trace as of a crash, and waits for ever where the signal hit
        # a lock that this takes: the process could not be ended.
        signal.signal(signal.SIGTERM, on_sigterm)
    module: ModuleType = paddle
    return module


@contextmanager
def _one_thread_named() -> Iterator[None]:
    """Paddle warns about other numbers, which are of no matter: `configure_device` sets its own."""
    named = os.environ.get("OMP_NUM_THREADS")
    if named is not None:
        os.environ["OMP_NUM_THREADS"] = "1"
    try:
        yield
    finally:
        if named is not None:
            os.environ["OMP_NUM_THREADS"] = named


def is_cpu_build() -> bool:
    """Whether the installed Paddle is built for CPUs alone; told without loading it.

    Returns:
        True if its own table of versions says so; False for any other build, and when in doubt.
    """
    spec = importlib.util.find_spec("paddle")
    if spec is None or spec.origin is None:
        return False
    try:
        versions = runpy.run_path(str(Path(spec.origin).with_name("version") / "__init__.py"))
    except Exception:  # noqa: BLE001 - whoever loads Paddle says what is wrong with it
        return False
    accelerators = ("cuda_version", "hip_version", "xpu_xre_version")
    return "cuda_version" in versions and all(
        versions.get(name) in (None, "False") for name in accelerators
    )


def _in_main_thread() -> bool:
    """Where alone Python sets handlers."""
    return threading.current_thread() is threading.main_thread()


def probe_build(paddle: Any) -> PaddleBuild:  # noqa: ANN401 - a module without types
    """What this build of Paddle can use; opens no device."""
    devices: dict[str, int] = {}
    if paddle.device.is_compiled_with_cuda():
        devices["gpu"] = paddle.device.cuda.device_count()
    if paddle.device.is_compiled_with_xpu():
        devices["xpu"] = paddle.device.xpu.device_count()
    for kind in paddle.device.get_all_custom_device_type() or ():
        devices[kind] = paddle.base.core.get_custom_device_count(kind)
    return PaddleBuild(devices)


def check_device(device: str, build: PaddleBuild) -> None:
    """Refuse a device that `build` cannot use, before anything is loaded onto it.

    Args:
        device: `cpu`, or `gpu:N` and the like with one index.

    Raises:
        ModelError: the message says what to install, to check or to choose instead.
    """
    kind, _, index = device.partition(":")
    if kind == "cpu":
        return
    count = build.devices.get(kind)
    if count is None:
        raise ModelError(f"{device}: {_REMEDIES[kind]}, or use cpu")
    if count == 0:
        raise ModelError(
            f"{device}: Paddle finds no {kind.upper()}: {_INVISIBLE[kind]}, or use cpu"
        )
    if int(index or 0) >= count:
        known = f"{kind}:0" if count == 1 else f"{kind}:0 to {kind}:{count - 1}"
        raise ModelError(f"{device}: there is no such device; use {known}")


def default_device(build: PaddleBuild) -> str:
    """The device when none is chosen, as in the reference: the first GPU, else the CPU."""
    return "gpu:0" if build.devices.get("gpu") else "cpu"


def configure_device(
    config: Any,  # noqa: ANN401 - untyped
    device: str,
    threads: int,
    *,
    onednn: bool = True,
) -> None:
    """Make `config` run on `device`.

    Args:
        config: a `paddle.inference.Config`.
        device: `cpu`, or `gpu:N` and the like with one index.
        threads: threads of the math library on CPU.
        onednn: whether oneDNN computes on CPU, as in the reference, or Paddle's own kernels.
    """
    kind, _, index = device.partition(":")
    match kind:
        case "cpu":
            config.disable_gpu()
            if onednn:
                config.enable_mkldnn()
                config.set_mkldnn_cache_capacity(ONEDNN_SHAPES)
            else:
                # Otherwise it is on: Paddle's default.
                config.disable_mkldnn()
            config.set_cpu_math_library_num_threads(threads)
        case "gpu":
            config.enable_use_gpu(GPU_MEMORY_MIB, int(index or 0))
        case "xpu":
            config.enable_xpu()
            config.set_xpu_device_id(int(index or 0))
            config.delete_pass("conv2d_bn_xpu_fuse_pass")
            config.delete_pass("transfer_layout_pass")
        case _:
            config.enable_custom_device(kind, int(index or 0))
