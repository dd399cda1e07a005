"""Normalisation as each backend computes it: `x * alpha - beta` for each channel, in float32."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from worker.model import Normalize

__all__ = ["Normalizer", "channel_terms"]


def channel_terms(normalize: Normalize) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Find the factors and the terms of the channels, rounded as PaddleX rounds them.

    Returns:
        `alpha` and `beta`, `[3] float32` each: `scale / std` and `mean / std`.
    """
    mean, std = (np.array(values, np.float32) for values in (normalize.mean, normalize.std))
    alpha: npt.NDArray[np.float32] = np.float32(normalize.scale) / std
    return alpha, mean / std


class Normalizer:
    """Normalises on the CPU."""

    def __init__(self, normalize: Normalize) -> None:
        self._alpha, self._beta = channel_terms(normalize)

    def __call__(self, crops: npt.NDArray[np.uint8], tensor: npt.NDArray[np.float32]) -> None:
        """Normalise crops.

        Args:
            crops: `[N, H, W, 3] uint8`, the channels in the order that the network takes.
            tensor: `[N, 3, H, W] float32`, which is filled.
        """
        for channel in range(3):
            np.multiply(crops[..., channel], self._alpha[channel], out=tensor[:, channel])
            tensor[:, channel] -= self._beta[channel]
