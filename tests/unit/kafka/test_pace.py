"""The pace of a backlog, from stretches of time that the test makes up."""

from __future__ import annotations

import pytest

from worker.kafka.pace import LONGEST, PATIENCE, WINDOW, Pace


def work(pace: Pace, rate: int, left: int, seconds: int | None = None) -> int:
    """Work records off, a second at a time, until none are left or the seconds are over.

    Returns:
        How many are left.
    """
    while left > 0 and seconds != 0:
        done = min(rate, left)
        left -= done
        pace.note(1.0, done, left)
        seconds = None if seconds is None else seconds - 1
    return left


def test_nothing_is_known_before_anything_was_done() -> None:
    pace = Pace()
    assert pace.rate is None
    pace.note(1.0, 0, 0)
    assert pace.rate is None
    pace.note(1.0, 0, 500)
    assert pace.rate is None, "the first records are still on their way"


def test_a_backlog_is_measured_once_the_stages_are_full() -> None:
    pace = Pace()
    pace.note(1.0, 0, 6000)
    pace.note(1.0, 50, 5950)
    assert pace.rate == 50, "the first estimate: it is at least as fast"
    for second in range(1, 6):
        pace.note(1.0, 300, 5950 - 300 * second)
        assert pace.rate == 300


def test_what_comes_at_the_end_of_a_backlog_is_no_measure() -> None:
    pace = Pace()
    assert work(pace, 300, 910) == 0
    for _ in range(1000):
        pace.note(1.0, 2, 1)
        pace.note(1.0, 0, 0)
    assert pace.rate == 300, "idle and hardly used, it is as fast as it was"


def test_the_next_backlog_begins_with_the_pace_of_the_last_and_soon_has_its_own() -> None:
    pace = Pace()
    work(pace, 300, 6000)
    pace.note(600.0, 0, 0)
    assert pace.rate == 300
    left = work(pace, 100, 6000, 7)
    assert pace.rate == pytest.approx(150)
    work(pace, 100, left, round(WINDOW))
    assert pace.rate == pytest.approx(100)


@pytest.mark.parametrize("rate", [40, 300, 2500])
def test_time_to_drain_is_what_it_then_takes(rate: int) -> None:
    pace = Pace()
    for _ in range(2):
        left, seconds = 6000, 6000 / rate
        # The pipeline fills in the first second.
        pace.note(1.0, rate // 2, left := left - rate // 2)
        while left > rate:
            left, seconds = work(pace, rate, left, 1), left / rate
            assert pace.rate is not None
            assert (left + rate) / pace.rate == pytest.approx(seconds, rel=0.3)
        work(pace, rate, left)
        pace.note(60.0, 0, 0)


def test_a_worker_that_keeps_up_is_not_measured_by_what_comes() -> None:
    pace = Pace()
    work(pace, 300, 6000)
    for _ in range(100):
        pace.note(1.0, 10, 3)
    assert pace.rate == 300


def test_few_records_say_how_fast_it_is_at_least() -> None:
    pace = Pace()
    pace.note(1.0, 3, 0)
    pace.note(1.0, 10, 1)
    pace.note(1.0, 4, 0)
    assert pace.rate == 10


def test_slow_batches_are_averaged_over_several_of_them() -> None:
    pace = Pace()
    for second in range(100):
        pace.note(1.0, 8 if second % 10 == 9 else 0, 5000)
    assert pace.rate == pytest.approx(0.8, rel=0.4)


def test_without_progress_the_pace_falls_and_is_zero_in_the_end() -> None:
    pace = Pace()
    work(pace, 300, 6000, 20)
    fallen = []
    for _ in range(round(LONGEST) + 1):
        pace.note(1.0, 0, 5000)
        assert pace.rate is not None
        fallen.append(pace.rate)
    assert fallen == sorted(fallen, reverse=True)
    assert fallen[round(WINDOW)] < 100
    assert fallen[-1] == 0


def test_a_worker_that_never_does_anything_has_the_pace_zero() -> None:
    pace = Pace()
    for _ in range(round(PATIENCE)):
        assert pace.rate is None
        pace.note(1.0, 0, 10)
    assert pace.rate == 0


def test_a_clock_that_stands_still_does_no_harm() -> None:
    pace = Pace()
    pace.note(0.0, 5, 10)
    assert pace.rate is None
