"""Which device to use, and whether it can be used; found out in a process of its own."""

from __future__ import annotations

import subprocess
from contextlib import suppress

from worker.device import CPU, Device
from worker.errors import ModelError, UnfitSystemError
from worker.inference.choice import candidates, is_cpu_build
from worker.inference.protocol import UNUSABLE_DEVICE
from worker.kernels import PLAIN_KERNELS, Kernels
from worker.runtime.child_environment import child_environment
from worker.runtime.children import module_command
from worker.settings import BackendChoice

__all__ = ["find_device", "gpu_names"]

TIMEOUT = 120.0
"""Seconds; loading Paddle takes one or two, more from a cold disk."""

NAMES_TIMEOUT = 30.0
"""Seconds; a driver that no program uses takes one or two to wake each GPU."""


def find_device(
    named: Device | None, backend: BackendChoice = "paddle", kernels: Kernels = PLAIN_KERNELS
) -> Device:
    """Find the device to use, before a model is looked for.

    Blocks for as long as loading Paddle takes, unless only the CPU can be meant, or ONNX Runtime
    may compute on the device that is named: it can use a GPU that Paddle cannot, and says itself
    when it loads a model whether it does.

    Args:
        named: None is the first GPU that Paddle can use, else the CPU.
        backend: what is to compute; `auto` is any that may.
        kernels: how it is to compute.

    Returns:
        `named`, or the device that was found.

    Raises:
        ModelError: the device that is named cannot be used by Paddle, or, with `auto`, by anything
            that is installed.
        UnfitSystemError: Paddle cannot be loaded; the message says what to do.
    """
    if named == CPU or (named is None and is_cpu_build()):
        return CPU
    if named is not None:
        computing = candidates(named, kernels) if backend == "auto" else (backend,)
        if "onnxruntime" in computing:
            return named
    try:
        done = _run("worker.predictor.device_probe", str(named or ""), TIMEOUT)
    except subprocess.TimeoutExpired as error:
        raise UnfitSystemError(
            f"PaddlePaddle did not load within {TIMEOUT:g} s: try again, or use device cpu"
        ) from error
    # Paddle itself may print before.
    last = (done.stdout.decode(errors="replace").strip().splitlines() or [""])[-1]
    if done.returncode == 0:
        return Device.parse(last)
    if done.returncode == UNUSABLE_DEVICE:
        raise ModelError(last)
    raise UnfitSystemError(
        last or f"PaddlePaddle crashed while it loaded (exit status {done.returncode})"
    )


def gpu_names(gpus: Device) -> str:
    """Find the names of GPUs; blocks for as long as their driver takes.

    Returns:
        Such as `NVIDIA L4, NVIDIA L4`; where the driver does not tell, their places: `gpu:0,1`.
    """
    with suppress(OSError, subprocess.TimeoutExpired):
        done = _run("worker.predictor.gpu_probe", str(gpus), NAMES_TIMEOUT)
        if done.returncode == 0:
            return done.stdout.decode(errors="replace").strip()
    return str(gpus)


def _run(module: str, argument: str, timeout: float) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(  # noqa: S603 - this interpreter
        module_command(module, argument),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=child_environment(),
        timeout=timeout,
        check=False,
    )
