"""Whether scores mean what they say, computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from worker.evaluation.calibration import calibration_error, reliability


def test_bins_and_their_error() -> None:
    scores = np.array([0.95, 0.97, 0.55, 0.57, 0.51])
    right = np.array([True, False, True, True, False])
    bins = reliability(scores, right)
    assert [each.images for each in bins] == [0, 0, 0, 0, 0, 3, 0, 0, 0, 2]
    assert (bins[5].low, bins[5].high) == (0.5, 0.6)
    assert bins[5].score == pytest.approx(1.63 / 3)
    assert bins[5].accuracy == pytest.approx(2 / 3)
    assert bins[9].score == pytest.approx(0.96)
    assert bins[9].accuracy == 0.5
    error = (3 * (2 / 3 - 1.63 / 3) + 2 * 0.46) / 5
    assert calibration_error(bins) == pytest.approx(error)


def test_the_last_bin_has_1_and_each_its_lower_edge() -> None:
    bins = reliability(np.array([1.0, 0.5, 0.0]), np.array([True, True, False]))
    assert [each.images for each in bins] == [1, 0, 0, 0, 0, 1, 0, 0, 0, 1]
    assert calibration_error(bins) == pytest.approx(0.5 / 3)


def test_no_answers_have_no_error() -> None:
    assert calibration_error(reliability(np.array([]), np.array([], np.bool_))) == 0.0
