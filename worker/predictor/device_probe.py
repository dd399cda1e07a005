"""A short process that finds the default device; it prints that, or why Paddle cannot be loaded.

Paddle must not be loaded into the worker's own process: it holds the GIL, takes a second, and sets
signal handlers.
"""

from __future__ import annotations

import sys

from worker.device import CPU
from worker.errors import UnfitSystemError
from worker.predictor.backends.devices import default_device, import_paddle, probe_build

__all__ = ["main"]


def main() -> None:
    """Print the default device on the last line of standard output.

    Raises:
        SystemExit: with status 1, and the reason as the last line.
    """
    try:
        print(default_device(probe_build(import_paddle(CPU))), flush=True)  # noqa: T201
    except UnfitSystemError as error:
        print(error, flush=True)  # noqa: T201
        sys.exit(1)
