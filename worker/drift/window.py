"""The last answers of a model, and how far they are from its baseline."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence

from worker.drift.baseline import Baseline
from worker.drift.counting import bin_of
from worker.drift.stability import chance, enough, stability_index

__all__ = ["CLASSES", "ENTROPIES", "KINDS", "SCORES", "DriftWindow"]

CLASSES, SCORES, ENTROPIES = KINDS = ("classes", "scores", "entropies")
"""What is compared."""

MOST_CLASSES = 20
"""Classes that are compared one by one, the most frequent ones of the baseline. All others are one
group: with a thousand classes, the index of two samples of the same images would be above 0.25."""

FEWEST = 5.0
"""Images of the baseline with which a class is frequent: the share of fewer is chance."""


class DriftWindow:
    """Holds the last answers, four bytes each; for one event loop.

    Args:
        baseline: of the same model.
        size: how many answers it holds.
    """

    def __init__(self, baseline: Baseline, size: int) -> None:
        self._baseline = baseline
        self._size = size
        frequent = _frequent(baseline)
        self._group = {name: number for number, name in enumerate(frequent)}
        shares = [baseline.classes[name] for name in frequent]
        # What is left may be nothing, or a rounding error.
        shares.append(max(0.0, 1 - sum(shares)))
        expected = {CLASSES: shares, SCORES: baseline.scores, ENTROPIES: baseline.entropies}
        self._expected: Mapping[str, Sequence[float]] = {
            kind: [share * baseline.images for share in expected[kind]] for kind in KINDS
        }
        # Invariant: how many of the answers held are in each bin. The last one of scores and of
        # entropies is for answers without; it is not compared.
        self._counts = [[0] * len(self._expected[CLASSES])]
        self._counts += [[0] * (len(self._expected[kind]) + 1) for kind in (SCORES, ENTROPIES)]
        self._bins = len(self._counts[1]), len(self._counts[2])
        self._held = array("I")
        self._next = 0

    @property
    def images(self) -> int:
        """Answers held."""
        return len(self._held)

    def add(self, best: str, score: float | None, entropy: float | None) -> None:
        """Take in an answer; once the window is full, the oldest one goes.

        Args:
            best: the class that the image is answered with first, or `none`.
            score: the best score; None if there is none.
            entropy: as a share of the largest one; None if there is none.
        """
        group = self._group.get(best, len(self._group))
        scores, entropies = self._bins
        score_bin = scores - 1 if score is None else bin_of(score, self._baseline.score_bins)
        entropy_bin = (
            entropies - 1 if entropy is None else bin_of(entropy, self._baseline.entropy_bins)
        )
        cell = (group * scores + score_bin) * entropies + entropy_bin
        if len(self._held) < self._size:
            self._held.append(cell)
        else:
            self._count(self._held[self._next], -1)
            self._held[self._next] = cell
            self._next = (self._next + 1) % self._size
        self._count(cell, 1)

    def indices(self) -> dict[str, float]:
        """Compute the stability indices of the answers held.

        Returns:
            The index by kind; none before as many answers have come as are held, nor of a kind
            with nothing to compare.
        """
        if self.images < self._size:
            return {}
        found = {}
        for kind, counts in zip(KINDS, self._counts, strict=True):
            expected = self._expected[kind]
            compared = counts[: len(expected)]
            if len(expected) > 1 and any(expected) and any(compared):
                found[kind] = stability_index(expected, compared)
        return found

    def chances(self) -> dict[str, float]:
        """Compute about what the indices are when nothing has changed.

        Returns:
            The index by kind.
        """
        return {
            kind: chance(len(expected), self._baseline.images, self._size)
            for kind, expected in self._expected.items()
        }

    def remedy(self, kind: str, limit: float) -> str:
        """Say what makes the index by chance less than `limit`: more images on the small side.

        Returns:
            A clause.
        """
        images = self._baseline.images
        bins = len(self._expected[kind])
        if kind == CLASSES:
            # With more images, more classes are frequent.
            bins = min(len(self._baseline.classes), MOST_CLASSES) + 1
        if (needed := enough(bins, self._size, limit)) is not None:
            return f"evaluate {needed} images or more for the baseline"
        if (needed := enough(bins, images, limit)) is not None:
            return f"raise drift.window to {needed} or more"
        needed = 2 * (enough(bins, math.inf, limit) or 0)
        return f"evaluate {needed} images or more, and raise drift.window to as many"

    def _count(self, cell: int, change: int) -> None:
        scores, entropies = self._bins
        rest, entropy_bin = divmod(cell, entropies)
        group, score_bin = divmod(rest, scores)
        classes, by_score, by_entropy = self._counts
        classes[group] += change
        by_score[score_bin] += change
        by_entropy[entropy_bin] += change


def _frequent(baseline: Baseline) -> list[str]:
    """The classes that are compared one by one, the most frequent first."""
    shares = baseline.classes
    ranked = sorted(shares, key=lambda name: (-shares[name], name))
    return [name for name in ranked[:MOST_CLASSES] if shares[name] * baseline.images >= FEWEST]
