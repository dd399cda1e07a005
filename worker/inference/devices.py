"""Which device to use, and whether it can be used; found out in a process of its own."""

from __future__ import annotations

import importlib.util
import runpy
import subprocess
from pathlib import Path

from worker.device import CPU, Device
from worker.errors import ModelError, UnfitSystemError
from worker.inference.protocol import UNUSABLE_DEVICE
from worker.runtime.child_environment import child_environment
from worker.runtime.children import module_command
from worker.settings import BackendChoice

__all__ = ["find_device", "is_cpu_build"]

TIMEOUT = 120.0
"""Seconds; loading Paddle takes one or two, more from a cold disk."""


def find_device(named: Device | None, backend: BackendChoice | None = None) -> Device:
    """Find the device to use, before a model is looked for.

    Blocks for as long as loading Paddle takes, unless only the CPU can be meant.

    Args:
        named: None is the first GPU that Paddle can use, else the CPU.
        backend: that the settings name, if they do: ONNX Runtime may use a GPU that Paddle cannot.

    Returns:
        `named`, or the device that was found.

    Raises:
        ModelError: Paddle cannot use the device that is named.
        UnfitSystemError: Paddle cannot be loaded; the message says what to do.
    """
    if named == CPU or (named is None and is_cpu_build()):
        return CPU
    if named is not None and backend == "onnxruntime":
        return named
    try:
        done = subprocess.run(  # noqa: S603 - this interpreter
            module_command("worker.predictor.device_probe", str(named or "")),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=child_environment(),
            timeout=TIMEOUT,
            check=False,
        )
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
