"""Page-locks the memory that batches come in, where a GPU copies from it."""

from __future__ import annotations

import logging

from worker.device import Device
from worker.inference.protocol import SharedBatch
from worker.predictor.backends.cuda import CudaDriver, CudaError, load_driver

__all__ = ["lock_for"]

MOST_BYTES = 1 << 28
"""What is locked at most, since it is taken from all other programs: two batches of 32 images of
224 by 224 pixels need 10 MB. `predict` has room for batches of 1024, and goes without."""

log = logging.getLogger(__name__)


def lock_for(device: Device, shared: SharedBatch) -> bool:
    """Lock the pages of a slot's memory for a GPU; on other devices nothing is done.

    Where that cannot be done the log says why, and batches take another copy on their way.

    Returns:
        Whether they are locked.
    """
    if device.kind != "gpu" or shared.size > MOST_BYTES:
        return False
    try:
        driver: CudaDriver = load_driver()
        driver.lock_pages(device.index, shared.crops.ctypes.data, shared.size)
    except CudaError as error:
        log.warning("the memory of batches is not page-locked for %s: %s", device, error)
        return False
    return True
