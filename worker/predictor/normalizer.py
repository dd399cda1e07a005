"""From uint8 crops to the tensor that a network takes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from worker.model import Normalize

__all__ = ["Normalizer"]


class Normalizer:
    """PaddleX's arithmetic, `x * (scale / std) - mean / std` in float32."""

    def __init__(self, normalize: Normalize) -> None:
        mean, std = (np.array(values, np.float32) for values in (normalize.mean, normalize.std))
        self._alpha, self._beta = np.float32(normalize.scale) / std, mean / std

    def __call__(self, crops: npt.NDArray[np.uint8], tensor: npt.NDArray[np.float32]) -> None:
        """Normalise crops.

        Args:
            crops: `[N, H, W, 3] uint8`, the channels in the order that the network takes.
            tensor: `[N, 3, H, W] float32`, which is filled.
        """
        for channel in range(3):
            np.multiply(crops[..., channel], self._alpha[channel], out=tensor[:, channel])
            tensor[:, channel] -= self._beta[channel]
