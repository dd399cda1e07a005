"""From logits to scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from worker.model import Activation

__all__ = ["ACTIVATIONS"]

Rows = npt.NDArray[np.float32]


def _softmax(logits: Rows) -> Rows:
    powers: Rows = np.exp(logits - logits.max(axis=1, keepdims=True))
    powers /= powers.sum(axis=1, keepdims=True)
    return powers


def _sigmoid(logits: Rows) -> Rows:
    # 1 / (1 + exp(-x)) without its overflow.
    scores: Rows = np.exp(-np.logaddexp(np.float32(0), -logits))
    return scores


ACTIVATIONS: Mapping[Activation, Callable[[Rows], Rows]] = {
    "softmax": _softmax,
    "sigmoid": _sigmoid,
}
"""Scores `[N, C] float32`, 0 to 1, of logits `[N, C] float32`."""
