"""Intervals and tests, against values that were computed by hand or are in textbooks."""

from __future__ import annotations

import math
from statistics import NormalDist

import pytest

from worker.evaluation.statistics import mcnemar, wilson


@pytest.mark.parametrize(
    ("right", "total", "low", "high"),
    [
        (8, 10, 0.490162, 0.943318),
        (0, 10, 0.0, 0.277533),
        (10, 10, 0.722467, 1.0),
        (1, 1, 0.206543, 1.0),
        (81, 263, 0.2553, 0.3662),  # Newcombe 1998, table I
        (15, 148, 0.0624, 0.1605),  # the same
    ],
)
def test_wilsons_interval(right: int, total: int, low: float, high: float) -> None:
    assert wilson(right, total) == pytest.approx((low, high), abs=6e-5)


def test_nothing_is_known_of_no_images() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


def test_mcnemars_test() -> None:
    test = mcnemar(10, 2)
    # 1 + 12 + 66 of 4096 ways, and the same at the other end.
    assert test.p_exact == 2 * 79 / 4096
    assert test.statistic == 49 / 12
    beyond = 2 * (1 - NormalDist().cdf(math.sqrt(49 / 12)))
    assert test.p_corrected == pytest.approx(beyond, abs=1e-12)
    other = mcnemar(2, 10)
    assert (other.p_exact, other.statistic) == (test.p_exact, test.statistic)


def test_models_that_have_the_same_images_right_do_not_differ() -> None:
    assert (mcnemar(0, 0).p_exact, mcnemar(0, 0).p_corrected) == (1.0, 1.0)
    assert mcnemar(1, 0).p_exact == 1.0
    # The correction takes no more than there is.
    assert mcnemar(3, 3).statistic == 0
    assert mcnemar(3, 3).p_exact == 1.0


def test_many_images_are_counted_exactly() -> None:
    test = mcnemar(5200, 4800)
    assert test.p_exact == pytest.approx(test.p_corrected, rel=1e-2)
    assert mcnemar(5000, 0).p_exact == pytest.approx(0.0, abs=1e-300)
