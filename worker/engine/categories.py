"""From a network's scores to the categories of an answer, by the model's own rule."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from worker.contract.jobs import Category
from worker.model import AllAbove, BestAbove, ModelSpec

if TYPE_CHECKING:
    import numpy.typing as npt

    Scores = npt.NDArray[np.float32]

__all__ = ["choose_categories"]

FEW = 10
"""Scores that are found, and rounded, one after the other. More are sorted, and rounded at once."""

TAKEN = -1.0
"""Less than any score."""


def choose_categories(scores: Scores, count: int, spec: ModelSpec) -> tuple[Category, ...]:
    """Choose the categories of one image.

    Args:
        scores: `[C] float32`, 0 to 1.
        count: most categories; a rule with thresholds may leave fewer, or none.

    Returns:
        The categories, best first, with scores rounded to five digits as in PaddleX.
    """
    match spec.rule:
        case AllAbove() as rule:
            above = np.flatnonzero(scores >= _thresholds(rule, len(scores)))
            return _categories(above[_best(scores[above], count)], scores, spec)
        case BestAbove() as rule:
            return (_one(scores, rule, spec),)
        case _ if count <= FEW:
            return _best_few(scores, count, spec)
        case _:
            return _categories(_best(scores, count), scores, spec)


def _best_few(scores: Scores, count: int, spec: ModelSpec) -> tuple[Category, ...]:
    # For few this takes less than half of the time: nothing is sorted or selected, and no array is
    # made of what was found.
    left, found = scores.copy(), []
    for _ in range(min(count, len(scores))):
        best = int(left.argmax())
        score: float = left.item(best)
        found.append(Category(best, spec.label(best), round(score, 5)))
        left[best] = TAKEN
    return tuple(found)


def _best(scores: Scores, count: int) -> npt.NDArray[np.intp]:
    """Where the best `count` scores are, best first; of equal ones the first."""
    count = min(count, len(scores))
    if count == 0:
        return np.empty(0, np.intp)
    # All that tie with the last one too, so that the choice among them does not depend on chance.
    candidates = np.flatnonzero(scores >= np.partition(scores, -count)[-count])
    return candidates[np.lexsort((candidates, -scores[candidates]))][:count]


def _one(scores: Scores, rule: BestAbove, spec: ModelSpec) -> Category:
    if len(scores) == 2:
        second = scores[1]
        # In float32 both, as the scores are: 0.3 in float64 is another number.
        if second >= np.float32(rule.threshold):
            return _category(1, scores, spec)
        return Category(0, spec.label(0), round(1 - float(second), 5))
    best = int(scores.argmax())
    above = scores[best] > np.float32(rule.threshold)
    return _category(best if above else rule.otherwise, scores, spec)


def _thresholds(rule: AllAbove, classes: int) -> Scores:
    thresholds = np.full(classes, rule.threshold, np.float32)
    if rule.thresholds:
        thresholds[list(rule.thresholds)] = list(rule.thresholds.values())
    return thresholds


def _categories(
    indices: npt.NDArray[np.intp], scores: Scores, spec: ModelSpec
) -> tuple[Category, ...]:
    # As Python's numbers all at once: one by one takes three times as long.
    found = indices.tolist()
    return tuple(map(Category, found, map(spec.label, found), _rounded(scores[indices])))


def _rounded(scores: Scores) -> list[float]:
    """Round scores to five digits exactly as `round` does it.

    A score of 24 bits is too far from the middle between two neighbours for the product to reach
    it by its error, and the quotient is the float nearest to its five digits.
    """
    if len(scores) <= FEW:
        return [round(score, 5) for score in scores.tolist()]
    rounded: list[float] = (np.rint(scores.astype(np.float64) * 1e5) / 1e5).tolist()
    return rounded


def _category(index: int, scores: Scores, spec: ModelSpec) -> Category:
    return Category(index, spec.label(index), round(float(scores[index]), 5))
