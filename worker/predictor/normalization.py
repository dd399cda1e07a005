"""Normalisation as each backend computes it: `x * alpha - beta` for each channel, in float32."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from worker.model import Normalize

__all__ = ["channel_terms"]


def channel_terms(normalize: Normalize) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Find the factors and the terms of the channels, rounded as PaddleX rounds them.

    Returns:
        `alpha` and `beta`, `[3] float32` each: `scale / std` and `mean / std`.
    """
    mean, std = (np.array(values, np.float32) for values in (normalize.mean, normalize.std))
    alpha: npt.NDArray[np.float32] = np.float32(normalize.scale) / std
    return alpha, mean / std
