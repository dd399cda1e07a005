"""The choice of batches and their parts, for predictors whose times the test makes up."""

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
    choose,
    measure_sizes,
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
        settings = BatchingSettings(**batching)
        return choose([measure_sizes(self.run, (4, 6), settings)], settings)


def test_where_larger_parts_gain_nothing_images_are_computed_alone() -> None:
    predictor = Predictor(lambda size, run: 0.1 * size)
    calibration = predictor.calibrate(calibration_limit=32)
    assert (calibration.part, calibration.max_batch) == (1, 1)


def test_parts_that_gain_go_to_the_limit() -> None:
    predictor = Predictor(lambda size, run: 0.001)
    calibration = predictor.calibrate(calibration_limit=32)
    assert (calibration.part, calibration.max_batch) == (32, 32)
    assert [row.size for row in calibration.rows] == [1, 2, 4, 8, 16, 32]


def test_the_smallest_part_that_is_nearly_the_fastest_wins() -> None:
    # Images per second: 10, 19.9, 19.95, 20.
    seconds = {1: 1 / 10, 2: 2 / 19.9, 4: 4 / 19.95, 8: 8 / 20}
    predictor = Predictor(lambda size, run: seconds[size])
    assert predictor.calibrate(calibration_limit=8).part == 2


def test_parts_larger_than_one_that_loses_are_not_tried() -> None:
    # Images per second: 10, 20, 19.9, 19.
    seconds = {1: 1 / 10, 2: 2 / 20, 4: 4 / 19.9, 8: 8 / 19}
    predictor = Predictor(lambda size, run: seconds[size])
    calibration = predictor.calibrate(calibration_limit=32)
    assert [row.size for row in calibration.rows] == [1, 2, 4, 8]
    assert calibration.part == 2


def test_one_size_that_was_disturbed_does_not_end_the_search_at_small_ones() -> None:
    # Images per second: 200, 180, 210, 250.
    seconds = {1: 1 / 200, 2: 2 / 180, 4: 4 / 210, 8: 8 / 250}
    predictor = Predictor(lambda size, run: seconds[size])
    assert predictor.calibrate(calibration_limit=8).part == 8


def test_a_limit_between_powers_of_two_is_tried_too() -> None:
    predictor = Predictor(lambda size, run: 0.001)
    calibration = predictor.calibrate(calibration_limit=12)
    assert [row.size for row in calibration.rows] == [1, 2, 4, 8, 12]
    assert (calibration.part, calibration.max_batch) == (12, 12)


@pytest.mark.parametrize(
    ("milliseconds", "way", "limit", "chosen"),
    [
        # With the event loop's 1.2 ms, images per second in batches of 4, 8 and 16: 435, 465, 482.
        (2, 0.0, 32, 16),
        (2, 0.0, 12, 12),
        # Of 2, 4 and 8: 48.5, 49.3, 49.6; with 0.9 ms for the way there and back: 47.5, 48.7, 49.4.
        (20, 0.0, 8, 4),
        (20, 0.9, 8, 8),
        # A larger one would take too long.
        (60, 0.9, 32, 2),
        (400, 0.9, 32, 1),
    ],
)
def test_a_batch_has_as_many_parts_as_make_what_it_takes_besides_little(
    milliseconds: float, way: float, limit: int, chosen: int
) -> None:
    predictor = Predictor(lambda size, run: milliseconds / 1000 * (size if size <= 1 else size + 1))
    predictor.waited = lambda: way / 1000
    calibration = predictor.calibrate(calibration_limit=limit)
    assert (calibration.part, calibration.max_batch) == (1, chosen)


def test_on_a_gpu_a_batch_is_computed_whole() -> None:
    # Images per second: 50 each, and with the event loop's 1.2 ms 47, 49, 49.3, 49.6.
    predictor = Predictor(lambda size, run: 0.02 * size)
    settings = BatchingSettings(calibration_limit=8)
    rows = measure_sizes(predictor.run, (4, 6), settings, whole=True)
    chosen = choose([rows], settings, whole=True)
    assert (chosen.part, chosen.max_batch) == (4, 4)


@pytest.mark.parametrize("fixed", [6, 32])
def test_on_a_gpu_all_sizes_are_warmed_however_slow_and_a_fixed_batch_is_one_part(
    fixed: int,
) -> None:
    # Each size is prepared by its first run; 8 images at once are slower than others.
    predictor = Predictor(lambda size, run: (0.03 if size == 8 else 0.01) * size if run else 2.0)
    settings = BatchingSettings(max_batch=fixed)
    rows = measure_sizes(predictor.run, (4, 6), settings, whole=True)
    assert [row.size for row in rows] == [1, 2, 4, *([6] if fixed == 6 else [8, 16, 32])]
    chosen = choose([rows], settings, whole=True)
    assert (chosen.part, chosen.max_batch) == (fixed, fixed)


def test_on_a_gpu_preparing_kernels_does_not_end_the_search() -> None:
    # Images per second: 83, 133, 190, 242, 281, 305.
    def seconds(size: int, run: int) -> float:
        return 0.001 * (size + 9) if run else 4.0

    settings = BatchingSettings()
    rows = measure_sizes(Predictor(seconds).run, (4, 6), settings, whole=True)
    assert [row.size for row in rows] == [1, 2, 4, 8, 16, 32]
    assert choose([rows], settings, whole=True).max_batch == 32
    assert [row.size for row in measure_sizes(Predictor(seconds).run, (4, 6), settings)] == [1]


def test_threads_that_wait_for_each_other_are_judged_by_the_clock() -> None:
    predictor = Predictor(lambda size, run: 0.004 * size)
    predictor.waited = lambda: 0.004 if predictor.sizes[-1] == 1 else 0.001
    settings = BatchingSettings(calibration_limit=2)
    alone = measure_sizes(predictor.run, (4, 6), settings)
    assert choose([alone], settings).part == 1
    several = measure_sizes(predictor.run, (4, 6), settings, threads=2)
    assert [row.seconds for row in several] == pytest.approx([0.008, 0.009])
    assert [row.way for row in several] == [0, 0]
    assert choose([several], settings).part == 2


def test_the_first_run_warms_and_the_middle_one_of_the_others_counts() -> None:
    predictor = Predictor(lambda size, run: (0.5, 0.14, 0.02, 0.15)[run])
    calibration = predictor.calibrate(calibration_limit=1)
    assert [round(row.seconds, 9) for row in calibration.rows] == [0.14]
    assert len(predictor.sizes) == 4


def test_a_size_is_not_chosen_for_a_few_runs_that_found_their_caches_as_they_left_them() -> None:
    # Images per second: 250, and of one in three 500; 267.
    predictor = Predictor(
        lambda size, run: 0.0075 if size == 2 else 0.002 if run % 3 == 0 else 0.004
    )
    assert predictor.calibrate(calibration_limit=2).part == 2
    assert predictor.sizes.count(2) > 30


def test_a_slow_predictor_is_not_held_up_by_larger_sizes() -> None:
    predictor = Predictor(lambda size, run: 0.6 * size)
    calibration = predictor.calibrate(calibration_limit=32)
    assert [row.size for row in calibration.rows] == [1, 2]
    assert (calibration.part, calibration.max_batch) == (1, 1)
    assert len(predictor.sizes) == 6


@pytest.mark.parametrize(("fixed", "part"), [(6, 2), (2, 2), (1, 1)])
def test_a_fixed_batch_is_computed_in_parts_too(fixed: int, part: int) -> None:
    # Images per second: 100, 111, 100 and so on.
    predictor = Predictor(lambda size, run: 0.009 * size if size == 2 else 0.01 * size)
    calibration = predictor.calibrate(max_batch=fixed, calibration_limit=32)
    assert max(predictor.sizes) == fixed
    assert (calibration.part, calibration.max_batch) == (part, fixed)


def test_errors_of_the_predictor_come_through() -> None:
    def run(crops: Crops) -> RunTime:
        raise PredictorCrashedError("it died")

    with pytest.raises(PredictorCrashedError):
        measure_sizes(run, (4, 6), BatchingSettings())


def test_what_other_programs_take_of_the_cores_does_not_choose() -> None:
    predictor = Predictor(lambda size, run: 0.06 * size)
    waits = itertools.chain([0.0, 0.0, 0.1, 0.0, 0.3], itertools.repeat(0.3))
    predictor.waited = lambda: next(waits)
    calibration = predictor.calibrate(calibration_limit=2)
    assert [round(row.seconds, 9) for row in calibration.rows] == [0.06, 0.12]
    assert calibration.part == 1


def measured(**seconds: float) -> tuple[Measurement, ...]:
    return tuple(Measurement(int(name[1:]), each, 0.0005) for name, each in seconds.items())


@pytest.mark.parametrize("swapped", [False, True])
def test_slots_go_by_the_mean_of_what_they_measured(swapped: bool) -> None:
    batching = BatchingSettings()
    # Images per second: 246, 266, 264, 245; 214, 249, 257, 256, 252; both: 229, 257, 261, 250.
    slots = [
        measured(b1=0.00406, b2=0.00753, b4=0.01513, b8=0.0327),
        measured(b1=0.00468, b2=0.00802, b4=0.01554, b8=0.03119, b16=0.0636),
    ]
    chosen = choose(slots[::-1] if swapped else slots, batching)
    assert [row.size for row in chosen.rows] == [1, 2, 4, 8]
    assert chosen.rows[0].seconds == pytest.approx(0.00437)
    assert chosen.part == 4
    # Both: 229, 257, 253, 250.
    slots[1] = measured(b1=0.00468, b2=0.00802, b4=0.0165, b8=0.03119)
    assert choose(slots[::-1] if swapped else slots, batching).part == 2


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
