"""The index is what its formula says, is finite, and is as large by chance as is claimed."""

from __future__ import annotations

import math

import numpy as np
import pytest

from worker.drift.stability import HALF, chance, stability_index


def test_equal_shares_have_no_index() -> None:
    assert stability_index([10, 30, 60], [10, 30, 60]) == 0
    assert stability_index([1e6, 3e6, 0], [100, 300, 0]) == 0


def test_the_index_is_that_of_the_formula() -> None:
    expected, found = [500.0, 500.0], [900.0, 100.0]
    first, second = (900 + HALF) / 1001, (100 + HALF) / 1001
    index = (first - 0.5) * math.log(first / 0.5) + (second - 0.5) * math.log(second / 0.5)
    assert stability_index(expected, found) == pytest.approx(index)
    assert index == pytest.approx(0.88, abs=0.01)


def test_the_index_is_the_same_in_both_directions() -> None:
    one, other = [10.0, 0.0, 90.0], [50.0, 25.0, 25.0]
    assert stability_index(one, other) == pytest.approx(stability_index(other, one))


def test_empty_bins_leave_it_finite_and_it_still_grows_with_what_is_there() -> None:
    few, many = (stability_index([100, 0], [99 - more, 1 + more]) for more in (0, 30))
    assert 0 < few < 0.1
    assert 1 < many < math.inf


def test_chance_gives_about_the_index_that_is_claimed() -> None:
    rng = np.random.default_rng(0)
    shares = np.full(20, 1 / 20)
    indices = [
        stability_index(
            rng.multinomial(1000, shares).tolist(), rng.multinomial(1000, shares).tolist()
        )
        for _ in range(200)
    ]
    assert chance(20, 1000, 1000) == pytest.approx(0.038)
    assert float(np.mean(indices)) == pytest.approx(0.038, rel=0.1)
