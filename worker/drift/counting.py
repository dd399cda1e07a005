"""Counts answers for a baseline."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from worker.drift.baseline import BINS, Baseline
from worker.metrics.answers import NONE, entropy

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["BaselineCounts", "bin_of"]


class BaselineCounts:
    """The answers of one model to one data set, as a baseline counts them.

    Attributes:
        images: how many were counted.
    """

    def __init__(self) -> None:
        self.images = 0
        self._classes: Counter[str] = Counter()
        self._scores = [0] * (len(BINS) - 1)
        self._entropies = [0] * (len(BINS) - 1)

    def count(self, scores: npt.NDArray[np.float32], best: str | None) -> None:
        """Count one image.

        Args:
            scores: `[C] float32`, 0 to 1: all that the network answered.
            best: the class that the image is answered with first; None if no score reached a
                threshold.
        """
        self.images += 1
        self._classes[NONE if best is None else best] += 1
        found = entropy(scores)
        # As the worker's metrics: what cannot be shared out has neither.
        if found is not None:
            self._scores[bin_of(float(scores.max()), BINS)] += 1
            self._entropies[bin_of(found, BINS)] += 1

    def baseline(self, model: str, digest: str, data: str) -> Baseline:
        """Make the baseline of what was counted, at least one image.

        Args:
            model: the model's name.
            digest: the model's digest.
            data: the data set's digest.

        Returns:
            The baseline, its classes the most frequent first.

        Raises:
            ValueError: nothing was counted.
        """
        if not self.images:
            raise ValueError("a baseline needs an image that was answered")
        return Baseline(
            model=model,
            digest=digest,
            data=data,
            images=self.images,
            classes={name: count / self.images for name, count in self._classes.most_common()},
            score_bins=BINS,
            scores=_shares(self._scores),
            entropy_bins=BINS,
            entropies=_shares(self._entropies),
        )


def bin_of(value: float, edges: Sequence[float]) -> int:
    """Find the bin of a value: it has its lower edge, and the last one has both.

    Args:
        edges: ascending; a value beyond them is in the first or last bin.

    Returns:
        The bin's number, from 0.
    """
    return min(max(bisect_right(edges, value) - 1, 0), len(edges) - 2)


def _shares(counts: Sequence[int]) -> tuple[float, ...]:
    total = sum(counts)
    return tuple(count / total if total else 0.0 for count in counts)
