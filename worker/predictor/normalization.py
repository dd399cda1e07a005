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
        alpha, beta = channel_terms(normalize)
        self._alpha, self._beta = alpha.reshape(3, 1, 1), beta.reshape(3, 1, 1)

    def __call__(self, crops: npt.NDArray[np.uint8], tensor: npt.NDArray[np.float32]) -> None:
        """Normalise crops.

        Args:
            crops: `[N, H, W, 3] uint8`, the channels in the order that the network takes.
            tensor: `[N, 3, H, W] float32`, which is filled.
        """
        # Converted first: to multiply while bytes are converted takes a third longer.
        tensor[...] = crops.transpose(0, 3, 1, 2)
        tensor *= self._alpha
        tensor -= self._beta
