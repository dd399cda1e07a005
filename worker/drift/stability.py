"""The population stability index: how far two distributions over the same bins are apart."""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["chance", "enough", "stability_index"]

HALF = 0.5
"""Images that are added to each bin, out of as many as the smaller side has. A bin that is empty on
one side would make the index infinite. Both sides get the same share, so that the index of equal
shares is 0; the more was counted, the less that is, unlike a fixed least share."""


def stability_index(expected: Sequence[float], found: Sequence[float]) -> float:
    """Compute the population stability index.

    With shares `e` of what was expected and `f` of what was found, it is the sum over all bins of
    `(f - e) * ln(f / e)`: the divergences of Kullback and Leibler in both directions, added up.
    By a rule of thumb, less than 0.1 is no change that matters, and more than 0.25 is a large one
    (N. Siddiqi, Credit Risk Scorecards, 2006).

    Args:
        expected: the count of each bin; two bins or more, not all 0.
        found: as many counts, not all 0.

    Returns:
        0 for equal shares, and more the less alike they are.
    """
    totals = math.fsum(expected), math.fsum(found)
    floor = HALF / min(totals)
    # With it, the shares of all bins add up to this.
    whole = 1 + floor * len(expected)
    index = 0.0
    for one, other in zip(expected, found, strict=True):
        share_expected = (one / totals[0] + floor) / whole
        share_found = (other / totals[1] + floor) / whole
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


def enough(bins: int, other: float, limit: float) -> int | None:
    """Compute how many must be counted on one side for an index by chance of less than `limit`.

    Args:
        other: how many are counted on the other side.

    Returns:
        The number; None if the other side is too small for any.
    """
    left = limit - (bins - 1) / other
    return None if left <= 0 else math.floor((bins - 1) / left) + 1
