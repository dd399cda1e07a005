"""What runs a network: one protocol, one module per library."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

__all__ = ["Backend", "last_line"]


class Backend(Protocol):
    """A loaded network on a device, used by one thread at a time."""

    @property
    def name(self) -> str:
        """What computes, for logs and metrics."""
        ...

    def run(self, batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Scores `[N, C] float32` for images `[N, 3, H, W] float32`, normalised, RGB.

        Raises:
            Exception: whatever the library raises; the caller takes it for a failed batch.
        """
        ...


def last_line(error: Exception) -> str:
    """What went wrong, in one line: Paddle has a C++ stack before it and hints after it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    facts = [line for line in lines if not line.startswith("[Hint:")]
    return (facts or lines or [type(error).__name__])[-1]
