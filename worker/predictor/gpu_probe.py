"""A short process that tells the names of GPUs; its argument is their device, such as `gpu:0,1`.

CUDA's driver must not be loaded into the worker's own process, which a sick one would hang.
"""

from __future__ import annotations

import sys

from worker.device import Device
from worker.inference.protocol import UNUSABLE_DEVICE
from worker.predictor.backends.cuda import CudaError, load_driver

__all__ = ["main"]


def main() -> None:
    """Print the names in one line.

    Raises:
        SystemExit: with `UNUSABLE_DEVICE` if the driver does not know all of them.
    """
    try:
        driver = load_driver()
        names = [driver.device_name(gpu.index) for gpu in Device.parse(sys.argv[1]).split()]
    except CudaError:
        sys.exit(UNUSABLE_DEVICE)
    sys.stdout.write(", ".join(names))
