"""Whether scores mean what they say: of answers with a score of 0.8, four of five are right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Bin", "calibration_error", "reliability"]

BINS = 10


@dataclass(frozen=True, slots=True)
class Bin:
    """Answers whose scores are alike.

    Attributes:
        low: the least score; a bin has it.
        high: the score that the next bin begins with; the last bin has 1.
        images: how many answers there are.
        score: their mean score; 0 if there are none.
        accuracy: the share that is right; 0 if there are none.
    """

    low: float
    high: float
    images: int
    score: float
    accuracy: float


def reliability(
    scores: npt.NDArray[np.float64], right: npt.NDArray[np.bool_], bins: int = BINS
) -> list[Bin]:
    """Sort answers into bins of equal width by their scores.

    Args:
        scores: `[N]`, 0 to 1, of the answers.
        right: `[N]`, whether each is right.

    Returns:
        The bins, from 0 up, empty ones included.
    """
    places = np.minimum((scores * bins).astype(np.intp), bins - 1)
    counts = np.bincount(places, minlength=bins).tolist()
    score_sums = np.bincount(places, scores, minlength=bins).tolist()
    right_sums = np.bincount(places, right, minlength=bins).tolist()
    return [
        Bin(
            place / bins,
            (place + 1) / bins,
            counts[place],
            score_sums[place] / max(counts[place], 1),
            right_sums[place] / max(counts[place], 1),
        )
        for place in range(bins)
    ]


def calibration_error(bins: list[Bin]) -> float:
    """Compute the expected calibration error (Naeini et al. 2015).

    Returns:
        How far mean score and accuracy are apart, on average over all answers, 0 to 1.
    """
    images = sum(each.images for each in bins)
    apart = sum(each.images * abs(each.score - each.accuracy) for each in bins)
    return apart / images if images else 0.0
