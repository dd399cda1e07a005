"""How far a training is: what is saved, and what it goes on from."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from worker.training.arrays import Arrays
from worker.training.checkpoint import load, save
from worker.training.names import STATE

__all__ = ["Best", "State"]


@dataclass(frozen=True, slots=True)
class Best:
    """The best weights so far, by the images to choose by.

    Attributes:
        phase: that they are of.
        epoch: of that phase, from 1 on.
        loss: mean cross-entropy.
        top1: share of right answers.
    """

    phase: str
    epoch: int
    loss: float
    top1: float

    def is_better_than(self, other: Best | None) -> bool:
        """Compare: more right answers, or as many and a smaller loss."""
        return other is None or (self.top1, -self.loss) > (other.top1, -other.loss)


@dataclass(slots=True)
class State:
    """Everything that the rest of the training depends on.

    Attributes:
        phase: the number of the one under way; that of all phases when it is done.
        epoch: the number of the one under way, from 0 on.
        step: the number of the next one in it.
        loss: sum over the images of the epoch so far; `right` and `seen` count them.
        history: an entry for each epoch that is done.
        results: what came out of each phase, and `before` all.
        best: the best weights of all phases.
        best_of_phase: those of the phase under way.
        now: weights and optimizer, by their places; empty at the beginning of a phase.
        best_weights: as `Network.restore` reads them, and `scores` of the probe images.
    """

    phase: int = 0
    epoch: int = 0
    step: int = 0
    loss: float = 0.0
    right: int = 0
    seen: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    results: dict[str, Any] = field(default_factory=dict)
    best: Best | None = None
    best_of_phase: Best | None = None
    now: Arrays = field(default_factory=dict)
    best_weights: Arrays = field(default_factory=dict)

    def save(self, directory: Path) -> None:
        """Write it, whole or not at all."""
        facts = asdict(self)
        del facts["now"], facts["best_weights"]
        arrays: dict[str, npt.NDArray[np.generic]] = {}
        arrays |= {f"now.{name}": array for name, array in self.now.items()}
        arrays |= {f"best.{name}": array for name, array in self.best_weights.items()}
        save(directory / STATE, facts, arrays)

    @classmethod
    def load(cls, directory: Path) -> State:
        """Read it, or begin.

        Raises:
            TrainingError: it is damaged.
        """
        try:
            facts, arrays = load(directory / STATE)
        except FileNotFoundError:
            return cls()
        for name in ("best", "best_of_phase"):
            facts[name] = None if facts[name] is None else Best(**facts[name])
        parts: dict[str, Arrays] = {"now": {}, "best": {}}
        for name, array in arrays.items():
            part, _, rest = name.partition(".")
            parts[part][rest] = array
        return cls(**facts, now=parts["now"], best_weights=parts["best"])
