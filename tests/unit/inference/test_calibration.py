"""The choice of a batch size, for predictors whose times the test makes up."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pytest

from worker.errors import PredictorCrashedError
from worker.inference.calibration import (
    Calibration,
    Measurement,
    RunTime,
    Window,
    calibrate,
    combine,
    run_for,
    solo_pays,
)
from worker.settings import BatchingSettings

Crops = Sequence[npt.NDArray[np.uint8]]


class Predictor:
    """Takes as long as `seconds` says for a batch's size and the number of its run."""

    def __init__(self, seconds: Callable[[int, int], float]) -> None:
        self.sizes: list[int] = []
        self._seconds = seconds
        self.waited: Callable[[], float] = lambda: 0.0

    def run(self, crops: Crops) -> RunTime:
        assert all(crop.shape == (4, 6, 3) and crop.dtype == np.uint8 for crop in crops)
        seconds = self._seconds(len(crops), self.sizes.count(len(crops)))
        self.sizes.append(len(crops))
        return RunTime(seconds + self.waited(), seconds)

    def calibrate(self, **batching: int) -> Calibration:
        return calibrate(self.run, (4, 6), BatchingSettings(**batching))


def test_batches_that_gain_nothing_stay_small() -> None:
    predictor = Predictor(lambda size, run: 0.1 * size)
    assert predictor.calibrate(calibration_limit=32).max_batch == 1


def test_batches_that_gain_go_to_the_limit() -> None:
    predictor = Predictor(lambda size, run: 0.001)
    calibration = predictor.calibrate(calibration_limit=32)
    assert calibration.max_batch == 32
    assert [row.size for row in calibration.rows] == [1, 2, 4, 8, 16, 32]


def test_the_smallest_batch_that_is_nearly_the_fastest_wins() -> None:
    # Images per second: 10, 19.8, 19.9, 20.
    seconds = {1: 1 / 10, 2: 2 / 19.8, 4: 4 / 19.9, 8: 8 / 20}
    predictor = Predictor(lambda size, run: seconds[size])
    assert predictor.calibrate(calibration_limit=8).max_batch == 2


def test_batches_larger_than_one_that_loses_are_not_tried() -> None:
    # Images per second: 10, 20, 19.9, 19.
    seconds = {1: 1 / 10, 2: 2 / 20, 4: 4 / 19.9, 8: 8 / 19}
    predictor = Predictor(lambda size, run: seconds[size])
    calibration = predictor.calibrate(calibration_limit=32)
    assert [row.size for row in calibration.rows] == [1, 2, 4, 8]
    assert calibration.max_batch == 2


def test_one_size_that_was_disturbed_does_not_end_the_search_at_small_ones() -> None:
    # Images per second: 200, 180, 210, 250.
    seconds = {1: 1 / 200, 2: 2 / 180, 4: 4 / 210, 8: 8 / 250}
    predictor = Predictor(lambda size, run: seconds[size])
    assert predictor.calibrate(calibration_limit=8).max_batch == 8


def test_a_limit_between_powers_of_two_is_tried_too() -> None:
    predictor = Predictor(lambda size, run: 0.001)
    calibration = predictor.calibrate(calibration_limit=12)
    assert [row.size for row in calibration.rows] == [1, 2, 4, 8, 12]
    assert calibration.max_batch == 12


def test_the_first_run_warms_and_the_fastest_of_the_others_counts() -> None:
    predictor = Predictor(lambda size, run: (0.5, 0.04, 0.02, 0.05)[run])
    calibration = predictor.calibrate(calibration_limit=1)
    assert [round(row.seconds, 9) for row in calibration.rows] == [0.02]
    assert len(predictor.sizes) == 4


def test_short_runs_are_repeated_since_most_may_be_disturbed() -> None:
    # Of batches of 2 the ninth run alone is undisturbed.
    predictor = Predictor(lambda size, run: 0.004 if size == 1 or run == 9 else 0.009)
    assert predictor.calibrate(calibration_limit=2).max_batch == 2
    assert predictor.sizes.count(2) == 11


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


def test_where_each_size_is_prepared_all_are_warmed_and_the_fixed_one_is_taken() -> None:
    ran: list[int] = []

    def run(crops: Crops) -> RunTime:
        ran.append(len(crops))
        return RunTime(0.001, 0.001)

    calibration = calibrate(run, (4, 6), BatchingSettings(max_batch=6), every_size=True)
    assert sorted(set(ran)) == [1, 2, 4, 6]
    assert calibration.max_batch == 6


def test_errors_of_the_predictor_come_through() -> None:
    def run(crops: Crops) -> RunTime:
        raise PredictorCrashedError("it died")

    with pytest.raises(PredictorCrashedError):
        calibrate(run, (4, 6), BatchingSettings())


def test_what_other_programs_take_of_the_cores_does_not_choose() -> None:
    predictor = Predictor(lambda size, run: 0.06 * size)
    waits = iter([0.0, 0.0, 0.1, 0.0, 0.3, 0.3])
    predictor.waited = lambda: next(waits)
    calibration = predictor.calibrate(calibration_limit=2)
    assert [round(row.seconds, 9) for row in calibration.rows] == [0.06, 0.12]
    assert calibration.max_batch == 1


@pytest.mark.parametrize(("way", "chosen"), [(0.0, 4), (0.0009, 8)])
def test_what_each_batch_takes_besides_counts(way: float, chosen: int) -> None:
    predictor = Predictor(lambda size, run: 0.008 * size)
    predictor.waited = lambda: way
    # With the event loop's 1.2 ms, images per second: 109, 116, 120, 123; 99, 110, 117, 121.
    assert predictor.calibrate(calibration_limit=8).max_batch == chosen


def measured(max_batch: int, **seconds: float) -> Calibration:
    rows = tuple(Measurement(int(name[1:]), each) for name, each in seconds.items())
    return Calibration(rows, max_batch)


@pytest.mark.parametrize("swapped", [False, True])
def test_slots_that_do_not_agree_go_by_the_mean_of_what_they_measured(swapped: bool) -> None:
    # Images per second: 190, 229, 245, 236; 170, 217, 239, 247, 247; both: 180, 223, 242, 241.
    slots = [
        measured(4, b1=0.00406, b2=0.00753, b4=0.01513, b8=0.0327),
        measured(8, b1=0.00468, b2=0.00802, b4=0.01554, b8=0.03119, b16=0.0636),
    ]
    combined = combine(slots[::-1] if swapped else slots)
    assert [row.size for row in combined.rows] == [1, 2, 4, 8]
    assert combined.rows[0].seconds == pytest.approx(0.00437)
    assert combined.max_batch == 4
    # Both: 180, 223, 235, 241.
    slots[1] = measured(8, b1=0.00468, b2=0.00802, b4=0.0165, b8=0.03119)
    combined = combine(slots[::-1] if swapped else slots)
    assert combined.max_batch == 8


def test_slots_that_agree_have_chosen() -> None:
    # As with a fixed size, of which nothing is to be chosen.
    slots = [measured(6, b1=0.25, b6=0.75), measured(6, b1=0.75, b6=1.25)]
    assert combine(slots) == measured(6, b1=0.5, b6=1.0)
    assert combine(slots[:1]) == slots[0]


def test_runs_go_on_until_the_time_is_over_and_one_is_made_in_any_case() -> None:
    predictor = Predictor(lambda size, run: 0.25 * size)
    crops = [np.zeros((4, 6, 3), np.uint8)] * 2
    assert run_for(predictor.run, crops, 0) == Window(2, 0.5, 0.5)
    assert run_for(predictor.run, crops, 1.2) == Window(6, 1.5, 1.5)


@pytest.mark.parametrize(("solo", "pays"), [(0.005, True), (0.0084, True), (0.0095, False)])
def test_all_cores_for_one_image_must_be_worth_a_copy_of_the_network(
    solo: float, pays: bool
) -> None:
    def run(crops: Crops) -> RunTime:
        assert len(crops) == 1
        return RunTime(0.01, 0.01)

    # The first run of each kind loads and warms.
    late = itertools.cycle((0.003, 0.0, 0.01, 0.002, 0.005))
    times = itertools.chain([9.0], (solo + each for each in late))

    def run_solo(crops: Crops) -> RunTime:
        assert len(crops) == 1
        return RunTime(next(times), 0.001)

    assert solo_pays(run, run_solo, (4, 6)) is pays


@pytest.mark.parametrize(
    ("own", "disturbed", "pairs"),
    [
        # Until 0.4 s are over, after 40 pairs, or after 5 of a network that takes long.
        (0.005, 0.0095, 28),
        (0.0005, 0.00095, 40),
        (0.5, 0.95, 5),
    ],
)
@pytest.mark.parametrize("undisturbed", [True, False])
def test_one_run_that_finds_all_cores_free_is_enough(
    own: float, disturbed: float, pairs: int, undisturbed: bool
) -> None:
    runs = {"own": 0, "solo": 0}

    def run(_: Crops) -> RunTime:
        runs["own"] += 1
        return RunTime(own, own)

    def run_solo(_: Crops) -> RunTime:
        runs["solo"] += 1
        # The last but one; the first of all warms.
        free = undisturbed and runs["solo"] == pairs
        return RunTime(0.7 * own if free else disturbed, own)

    assert solo_pays(run, run_solo, (4, 6)) is undisturbed
    assert runs["own"] == runs["solo"] == pairs + 1
