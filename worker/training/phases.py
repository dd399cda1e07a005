"""What is trained, one after the other, and how: the head alone, then the whole network."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["HEAD", "NETWORK", "Phase", "learning_rate"]


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of the training: which weights, and how they are trained, with AdamW.

    Attributes:
        name: `head` or `network`.
        epochs: passes over the images to train with.
        batch_size: images of a step.
        learning_rate: the highest; it rises to it during `warm_up`, and then falls to 0.
        warm_up: share of all steps, 0 to 1.
        weight_decay: AdamW's.
        clip: largest norm of all gradients together.
    """

    name: str
    epochs: int
    batch_size: int
    learning_rate: float
    warm_up: float
    weight_decay: float
    clip: float = 1.0


HEAD = Phase("head", epochs=100, batch_size=64, learning_rate=1e-3, warm_up=0.05, weight_decay=1e-2)
"""On features that are computed once, so that a hundred epochs take about as long as one."""

NETWORK = Phase(
    "network", epochs=10, batch_size=16, learning_rate=2e-5, warm_up=0.1, weight_decay=1e-2
)
"""With 1e-4 and no warm-up networks forgot more than they learned."""


def learning_rate(phase: Phase, step: int, steps: int) -> float:
    """Compute the learning rate of a step: a linear rise, then half a cosine down to 0.

    Args:
        step: from 0 on.
        steps: of the whole phase.

    Returns:
        The rate, never above the phase's own.
    """
    warm_up = math.ceil(phase.warm_up * steps)
    if step < warm_up:
        return phase.learning_rate * (step + 1) / warm_up
    done = (step - warm_up) / max(1, steps - warm_up)
    return phase.learning_rate * (1 + math.cos(math.pi * done)) / 2
