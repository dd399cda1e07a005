"""A short process that finds the device to use; its argument is the device named, or empty.

Paddle must not be loaded into the worker's own process: it holds the GIL, takes a second, and sets
signal handlers.
"""

from __future__ import annotations

import sys

from worker.device import CPU, Device
from worker.errors import ModelError, UnfitSystemError
from worker.inference.protocol import UNUSABLE_DEVICE
from worker.predictor.backends.devices import (
    check_device,
    default_device,
    import_paddle,
    probe_build,
)

__all__ = ["main"]


def main() -> None:
    """Print the device on the last line of standard output.

    Raises:
        SystemExit: with `UNUSABLE_DEVICE` if Paddle cannot use the device that is named, with 1 if
            Paddle cannot be loaded; the reason is the last line.
    """
    try:
        _say(_find(sys.argv[1]))
    except UnfitSystemError as error:
        _say(error)
        sys.exit(1)
    except ModelError as error:
        _say(error)
        sys.exit(UNUSABLE_DEVICE)


def _find(named: str) -> Device:
    device = Device.parse(named) if named else None
    build = probe_build(import_paddle(device or CPU))
    if device is None:
        return default_device(build)
    check_device(device, build)
    return device


def _say(last_line: object) -> None:
    sys.stdout.write(f"{last_line}\n")
    sys.stdout.flush()
