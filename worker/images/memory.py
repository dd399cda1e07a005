"""Tells a shortage of memory from a fault of the image: each codec has its own way to say it."""

from __future__ import annotations

import mmap
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

__all__ = ["check_free", "is_shortage", "limit_reached", "raising_memory_errors"]

_NO_MEMORY = (
    "Insufficient memory",  # OpenCV, and libjpeg within simplejpeg
    "Memory allocation failure",  # TurboJPEG within simplejpeg
    "could not create JPEG",  # simplejpeg, when TurboJPEG has no room for its own state
    "Failed to allocate",  # OpenCV
    "bad_alloc",  # C++
    "Can't allocate",
)

_OPENCV_NO_MEMORY = -4
"""`cv2.Error.StsNoMem`."""

_MARGIN = 16 * 1024 * 1024
"""Bytes that decoders take besides pixels: tables, threads' heaps, rows."""


@contextmanager
def raising_memory_errors() -> Iterator[None]:
    """Raise MemoryError for whatever a codec raises when it gets no memory."""
    try:
        yield
    except Exception as error:
        if isinstance(error, (ValueError, RuntimeError, *_opencv_errors())) and is_shortage(error):
            raise MemoryError(str(error)) from None
        raise


def check_free(nbytes: int) -> None:
    """Make sure that `nbytes` and a margin can be allocated.

    For decoders that answer "no" to a damaged image and to a shortage alike: what is short when
    they have just given up was short for them, too.

    Raises:
        MemoryError: they cannot.
    """
    np.empty(nbytes + _MARGIN, np.uint8)


def limit_reached(limit: int) -> bool:
    """Tell, after a MemoryError, the process's own limit from a shortage of the system.

    Args:
        limit: the most bytes of address space that this process was meant to have.

    Returns:
        Whether there is memory up to that limit, so that more than the limit was asked for.
    """
    allowed, _ = resource.getrlimit(resource.RLIMIT_AS)
    if allowed != limit:
        return False  # somebody allows less, as `ulimit -v` does
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
        left = limit - pages * mmap.PAGESIZE - _MARGIN
        if left > 0:
            mmap.mmap(-1, left, mmap.MAP_PRIVATE).close()
    except (OSError, ValueError, MemoryError):
        return False
    return True


def is_shortage(error: Exception) -> bool:
    """Tell a shortage of memory from a damaged image.

    Returns:
        Whether a codec raised `error` because it got no memory.
    """
    if isinstance(error, _opencv_errors()) and getattr(error, "code", None) == _OPENCV_NO_MEMORY:
        return True
    text = str(error)
    return any(sign in text for sign in _NO_MEMORY)


def _opencv_errors() -> tuple[type[Exception], ...]:
    """What OpenCV raises; nothing unless it is loaded, so that Pillow can be used without it."""
    opencv = sys.modules.get("cv2")
    return () if opencv is None else (opencv.error,)
