"""Images and scores as arrays."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["Pixels", "Scores"]

Pixels = npt.NDArray[np.uint8]
"""An image as the network takes it, before normalisation: `[H, W, 3]`."""

Scores = npt.NDArray[np.float32]
"""An image's scores: `[C]`, 0 to 1."""
