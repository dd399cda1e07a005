"""The population stability index: how far two distributions over the same bins are apart."""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["chance", "stability_index"]

HALF = 0.5
"""What is added to each bin's count, on both sides. The index has logarithms and quotients of
shares: a bin that happens to be empty would make it infinite. Half a count is Jeffreys' prior; it
weighs the less the more was counted, unlike a fixed least share."""


def stability_index(expected: Sequence[float], found: Sequence[float]) -> float:
    """Compute the population stability index.

    With shares `e` of what was expected and `f` of what was found, it is the sum over all bins of
    `(f - e) * ln(f / e)`: the divergences of Kullback and Leibler in both directions, added up.
    By a rule of thumb, less than 0.1 is no change that matters, and more than 0.25 is a large one
    (N. Siddiqi, Credit Risk Scorecards, 2006).

    Args:
        expected: the count of each bin; two bins or more.
        found: as many counts.

    Returns:
        0 for equal shares, and more the less alike they are.
    """
    index = 0.0
    for share_expected, share_found in zip(_shares(expected), _shares(found), strict=True):
        index += (share_found - share_expected) * math.log(share_found / share_expected)
    return index


def chance(bins: int, expected: float, found: float) -> float:
    """Compute about what index two samples of one distribution have.

    Its mean is that of a chi-squared distribution, scaled by both sizes: `(bins - 1) * (1 /
    expected + 1 / found)` (B. Yurdakul, J. Naranjo: Statistical properties of the population
    stability index, Journal of Risk Model Validation 14 (4), 2020).

    Args:
        expected: how many were counted on one side.
        found: how many on the other.

    Returns:
        The mean of the index.
    """
    return (bins - 1) * (1 / expected + 1 / found)


def _shares(counts: Sequence[float]) -> list[float]:
    total = math.fsum(counts) + HALF * len(counts)
    return [(count + HALF) / total for count in counts]
