"""The choice of a batch size, for predictors whose times the test makes up."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pytest

from worker.clock import Clock
from worker.errors import PredictorCrashedError
from worker.inference.calibration import Calibration, calibrate
from worker.settings import BatchingSettings

Crops = Sequence[npt.NDArray[np.uint8]]


class Predictor:
    """Takes as long as `seconds` says for a batch's size and the number of its run."""

    def __init__(self, seconds: Callable[[int, int], float]) -> None:
        self.now = 50.0
        self.sizes: list[int] = []
        self._seconds = seconds

    def run(self, crops: Crops) -> None:
        assert all(crop.shape == (4, 6, 3) and crop.dtype == np.uint8 for crop in crops)
        self.now += self._seconds(len(crops), self.sizes.count(len(crops)))
        self.sizes.append(len(crops))

    def calibrate(self, **batching: int) -> Calibration:
        return calibrate(
            self.run, (4, 6), BatchingSettings(**batching), clock=Clock(lambda: self.now)
        )


def test_batches_that_gain_nothing_stay_small() -> None:
    predictor = Predictor(lambda size, run: 0.001 * size)
    assert predictor.calibrate(calibration_limit=32).max_batch == 1


def test_batches_that_gain_go_to_the_limit() -> None:
    predictor = Predictor(lambda size, run: 0.001)
    calibration = predictor.calibrate(calibration_limit=32)
    assert calibration.max_batch == 32
    assert [row.size for row in calibration.rows] == [1, 2, 4, 8, 16, 32]


def test_the_smallest_batch_that_is_nearly_the_fastest_wins() -> None:
    # Images per second: 100, 192, 196, 200.
    seconds = {1: 1 / 100, 2: 2 / 192, 4: 4 / 196, 8: 8 / 200}
    predictor = Predictor(lambda size, run: seconds[size])
    assert predictor.calibrate(calibration_limit=8).max_batch == 2


def test_a_limit_between_powers_of_two_is_tried_too() -> None:
    predictor = Predictor(lambda size, run: 0.001)
    calibration = predictor.calibrate(calibration_limit=12)
    assert [row.size for row in calibration.rows] == [1, 2, 4, 8, 12]
    assert calibration.max_batch == 12


def test_the_first_run_warms_and_the_faster_of_the_others_counts() -> None:
    predictor = Predictor(lambda size, run: (0.5, 0.04, 0.02)[run])
    calibration = predictor.calibrate(calibration_limit=1)
    assert [round(row.seconds, 9) for row in calibration.rows] == [0.02]


def test_a_slow_predictor_is_not_held_up_by_larger_batches() -> None:
    predictor = Predictor(lambda size, run: 0.6 * size)
    calibration = predictor.calibrate(calibration_limit=32)
    assert [row.size for row in calibration.rows] == [1, 2]
    assert calibration.max_batch == 1
    assert len(predictor.sizes) == 6


@pytest.mark.parametrize(("fixed", "sizes"), [(6, [1, 6]), (1, [1])])
def test_a_fixed_size_is_warmed_and_measured_however_slow(fixed: int, sizes: list[int]) -> None:
    predictor = Predictor(lambda size, run: 10.0 * size)
    calibration = predictor.calibrate(max_batch=fixed, calibration_limit=32)
    assert [row.size for row in calibration.rows] == sizes
    assert calibration.max_batch == fixed


def test_errors_of_the_predictor_come_through() -> None:
    def run(crops: Crops) -> None:
        raise PredictorCrashedError("it died")

    with pytest.raises(PredictorCrashedError):
        calibrate(run, (4, 6), BatchingSettings())
