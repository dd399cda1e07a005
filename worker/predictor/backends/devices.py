"""Devices for Paddle: which ones its build can use here, and how each is configured.

The configuration of each kind of device is PaddleX's
(`paddlex/inference/models/common/static_infer.py` and `paddlex/utils/device.py`).
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from worker.device import CPU, Device
from worker.errors import ModelError
from worker.kernels import Precision
from worker.runtime.libraries import PADDLE_REMEDY, importing

if TYPE_CHECKING:
    from types import ModuleType

__all__ = [
    "PaddleBuild",
    "check_device",
    "configure_device",
    "default_device",
    "import_paddle",
    "probe_build",
]

GPU_MEMORY_MIB = 512
"""First size of Paddle's GPU memory pool; it grows on demand."""

ONEDNN_SHAPES = 2
"""Input shapes whose kernels oneDNN keeps. Each batch size is a shape and costs a copy of the
weights (ResNet50: 80 MB). Under load batches are full, one shape; making kernels again for the
others costs 4 % of a run (measured with ResNet50)."""

_REDUCED: Mapping[Precision, str] = {"fp16": "Half", "bf16": "Bfloat16"}
"""Names in Paddle's enumeration of precisions, but for that of its default."""

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


def import_paddle(device: Device) -> ModuleType:
    """Import Paddle, with the environment that it must find when it loads for `device`.

    Loading takes a second, and only the processes that use it should pay. The handler of SIGTERM
    stays as it was.

    Returns:
        The module `paddle`, with `paddle.inference`.

    Raises:
        UnfitSystemError: it cannot be loaded on this system.
    """
    # 2 leaves errors, without a line per operator pass.
    os.environ.setdefault("GLOG_minloglevel", "2")
    for name, value in _ENVIRONMENT.get(device.kind, {}).items():
        os.environ.setdefault(name, value)
    first = "paddle" not in sys.modules
    on_sigterm = signal.getsignal(signal.SIGTERM)
    with (
        warnings.catch_warnings(),
        _single_omp_thread(),
        importing("PaddlePaddle", PADDLE_REMEDY),
    ):
        # Paddle warns about a missing compiler cache that inference never uses.
        warnings.simplefilter("ignore")
        import paddle  # noqa: PLC0415
        import paddle.inference  # noqa: PLC0415
    if first and on_sigterm is not None and _in_main_thread():
        # Paddle's own handler writes a trace as after a crash, and it can wait forever for a lock
        # that the interrupted code holds: SIGTERM could then not end the process.
        signal.signal(signal.SIGTERM, on_sigterm)
    module: ModuleType = paddle
    return module


@contextmanager
def _single_omp_thread() -> Iterator[None]:
    """Set OMP_NUM_THREADS to 1 for the block: Paddle warns about others while it loads.

    The number does not matter then: `configure_device` sets the threads later.
    """
    named = os.environ.get("OMP_NUM_THREADS")
    if named is not None:
        os.environ["OMP_NUM_THREADS"] = "1"
    try:
        yield
    finally:
        if named is not None:
            os.environ["OMP_NUM_THREADS"] = named


def _in_main_thread() -> bool:
    """Whether this is the main thread, the only one in which Python sets signal handlers."""
    return threading.current_thread() is threading.main_thread()


def probe_build(paddle: Any) -> PaddleBuild:  # noqa: ANN401 - a module without types
    """Find out what this build of Paddle can use; opens no device.

    Returns:
        The number of devices of each kind.
    """
    devices: dict[str, int] = {}
    if paddle.device.is_compiled_with_cuda():
        devices["gpu"] = paddle.device.cuda.device_count()
    if paddle.device.is_compiled_with_xpu():
        devices["xpu"] = paddle.device.xpu.device_count()
    for kind in paddle.device.get_all_custom_device_type() or ():
        devices[kind] = paddle.base.core.get_custom_device_count(kind)
    return PaddleBuild(devices)


def check_device(device: Device, build: PaddleBuild) -> None:
    """Refuse a device that `build` cannot use, before anything is loaded onto it.

    Args:
        device: one or several; the first that cannot be used is named.

    Raises:
        ModelError: the message says what to install, to check or to choose instead.
    """
    kind = device.kind
    if kind == "cpu":
        return
    count = build.devices.get(kind)
    for each in device.split():
        if count is None:
            raise ModelError(f"{each}: {_REMEDIES[kind]}, or use cpu")
        if count == 0:
            raise ModelError(
                f"{each}: Paddle finds no {kind.upper()}: {_INVISIBLE[kind]}, or use cpu"
            )
        if each.index >= count:
            known = f"{kind}:0" if count == 1 else f"{kind}:0 to {kind}:{count - 1}"
            raise ModelError(f"{each}: there is no such device; use {known}")


def default_device(build: PaddleBuild) -> Device:
    """Choose the device when none is given, as PaddleX does.

    Returns:
        The first GPU, else the CPU.
    """
    return Device("gpu", (0,)) if build.devices.get("gpu") else CPU


def configure_device(
    config: Any,  # noqa: ANN401 - untyped
    device: Device,
    threads: int,
    *,
    onednn: bool = True,
    precision: Precision = "fp32",
) -> None:
    """Make `config` run on `device`.

    Args:
        config: a `paddle.inference.Config`.
        device: a single one.
        threads: threads of the math library on CPU.
        onednn: whether oneDNN computes on CPU, as in PaddleX, or Paddle's own kernels.
        precision: bf16 is for oneDNN and GPUs, fp16 for GPUs.
    """
    index = device.index
    match device.kind:
        case "cpu":
            config.disable_gpu()
            if onednn:
                config.enable_mkldnn()
                config.set_mkldnn_cache_capacity(ONEDNN_SHAPES)
                if precision == "bf16":
                    config.enable_mkldnn_bfloat16()
            else:
                # Otherwise it is on: Paddle's default.
                config.disable_mkldnn()
            config.set_cpu_math_library_num_threads(threads)
        case "gpu":
            reduced = _REDUCED.get(precision)
            # The enumeration is the configuration's own: Paddle need not be imported for it.
            named = () if reduced is None else (getattr(config.Precision, reduced),)
            config.enable_use_gpu(GPU_MEMORY_MIB, index, *named)
        case "xpu":
            config.enable_xpu()
            config.set_xpu_device_id(index)
            config.delete_pass("conv2d_bn_xpu_fuse_pass")
            config.delete_pass("transfer_layout_pass")
        case kind:
            config.enable_custom_device(kind, index)
