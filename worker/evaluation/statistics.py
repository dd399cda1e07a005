"""How sure one may be of a share, and of the difference between two models."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["McNemar", "mcnemar", "wilson"]

Z95 = 1.959963984540054
"""Of the normal distribution, 95 % are within so many standard deviations."""


def wilson(right: int, total: int) -> tuple[float, float]:
    """Compute the 95 % interval of a share, by Wilson's score (1927).

    Unlike the textbook's interval it stays within 0 and 1, and has a width where all or none are
    right.

    Returns:
        Its ends; 0 and 1 where there is nothing to go by.
    """
    if total == 0:
        return 0.0, 1.0
    share, square = right / total, Z95**2
    middle = share + square / (2 * total)
    half = Z95 * math.sqrt(share * (1 - share) / total + square / (4 * total**2))
    scale = 1 + square / total
    low, high = (middle - half) / scale, (middle + half) / scale
    # Exactly, where rounding leaves 1e-17.
    return (0.0 if right == 0 else low), (1.0 if right == total else high)


@dataclass(frozen=True, slots=True)
class McNemar:
    """Whether two models differ by more than chance, by the images that one alone has right.

    Attributes:
        first: images that the first model alone has right.
        second: those that the second one alone has right.
        p_exact: how likely so uneven a split is where both are equally good, by the binomial
            distribution.
        statistic: chi-squared with Edwards' correction for continuity, one degree of freedom.
        p_corrected: the same likelihood by that statistic; good from about 25 images on.
    """

    first: int
    second: int
    p_exact: float
    statistic: float
    p_corrected: float


def mcnemar(first: int, second: int) -> McNemar:
    """Make McNemar's test (1947) of two models on the same images.

    Args:
        first: images that the first model alone has right.
        second: images that the second model alone has right.

    Returns:
        The test, two-sided; both likelihoods are 1 where the models have the same images right.
    """
    total = first + second
    if total == 0:
        return McNemar(0, 0, 1.0, 0.0, 1.0)
    statistic = max(abs(first - second) - 1, 0) ** 2 / total
    exact = _twice_the_tail(min(first, second), total)
    return McNemar(first, second, exact, statistic, math.erfc(math.sqrt(statistic / 2)))


def _twice_the_tail(most: int, total: int) -> float:
    """Twice the likelihood of at most `most` heads in `total` throws of a coin, at most 1."""
    # In whole numbers: a sum of floats would lose the small terms of large totals.
    ways = term = 1
    for heads in range(most):
        term = term * (total - heads) // (heads + 1)
        ways += term
    share: float = 2 * ways / 2**total
    return min(1.0, share)
