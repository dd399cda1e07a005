"""Which device to use when none is named; found out in a process of its own."""

from __future__ import annotations

import importlib.util
import runpy
import subprocess
from pathlib import Path

from worker.device import CPU, Device
from worker.errors import UnfitSystemError
from worker.runtime.child_environment import child_environment
from worker.runtime.children import module_command

__all__ = ["find_default_device", "is_cpu_build"]

TIMEOUT = 120.0
"""Seconds; loading Paddle takes one or two, more from a cold disk."""


def find_default_device() -> Device:
    """Find the device to use when none is named.

    Blocks for as long as loading Paddle takes, unless its package is one for CPUs alone.

    Returns:
        The first GPU that Paddle can use, else the CPU.

    Raises:
        UnfitSystemError: Paddle cannot be loaded; the message says what to do.
    """
    if is_cpu_build():
        return CPU
    try:
        done = subprocess.run(  # noqa: S603 - this interpreter
            module_command("worker.predictor.device_probe"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=child_environment(),
            timeout=TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise UnfitSystemError(
            f"PaddlePaddle did not load within {TIMEOUT:g} s: name a device"
        ) from error
    # Paddle itself may print before.
    last = (done.stdout.decode(errors="replace").strip().splitlines() or [""])[-1]
    if done.returncode == 0:
        return Device.parse(last)
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
