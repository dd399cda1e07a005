"""Which device to use when none is named; found out in a process of its own."""

from __future__ import annotations

import subprocess

from worker.device import Device
from worker.errors import UnfitSystemError
from worker.runtime.children import module_command
from worker.runtime.environment import child_environment

__all__ = ["find_default_device"]

TIMEOUT = 120.0
"""Seconds; loading Paddle takes one or two, more from a cold disk."""


def find_default_device() -> Device:
    """Find the device to use when none is named; blocks for as long as loading Paddle takes.

    Returns:
        The first GPU that Paddle can use, else the CPU.

    Raises:
        UnfitSystemError: Paddle cannot be loaded; the message says what to do.
    """
    try:
        done = subprocess.run(  # noqa: S603 - this interpreter
            module_command("worker.predictor.probe"),
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
