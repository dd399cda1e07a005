"""When to try again: pauses that grow, jitter, and the two ways to give up."""

from __future__ import annotations

import random
from itertools import islice

import pytest

from worker.clock import Clock
from worker.retry import Retry


def upper(low: float, high: float) -> float:
    assert low == 0.0
    return high


def test_pauses_double_up_to_the_longest() -> None:
    pauses = islice(Retry(0.2, 5.0).pauses(), 8)
    assert list(pauses) == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0])


def test_another_factor() -> None:
    assert list(islice(Retry(1.0, 50.0, factor=3.0).pauses(), 5)) == [1.0, 3.0, 9.0, 27.0, 50.0]


def test_the_first_pause_is_no_longer_than_the_longest() -> None:
    assert next(Retry(2.0, 0.5).pauses()) == 0.5


def test_many_attempts_do_not_overflow() -> None:
    assert next(islice(Retry(0.2, 5.0).pauses(), 10_000, None)) == 5.0


def test_jitter_is_drawn_from_the_whole_pause() -> None:
    jittered = Retry(0.2, 5.0, jitter=True)
    bounds = islice(jittered.pauses(Clock(uniform=upper)), 4)
    assert list(bounds) == pytest.approx([0.2, 0.4, 0.8, 1.6])
    clock = Clock(uniform=random.Random(1).uniform)  # noqa: S311 - pauses, no secrets
    third = [next(islice(jittered.pauses(clock), 2, None)) for _ in range(1000)]
    assert all(0 <= pause <= 0.8 for pause in third)
    assert min(third) < 0.1
    assert max(third) > 0.7


@pytest.mark.parametrize("attempts", [1, 2, 5])
def test_the_last_attempt_has_no_pause_after_it(attempts: int) -> None:
    assert len(list(Retry(0.1, 1.0, attempts=attempts).pauses())) == attempts - 1


def test_patience_counts_from_the_first_failure() -> None:
    now = 100.0
    pauses = Retry(1.0, 1.0, patience=10.0).pauses(Clock(monotonic=lambda: now))
    now = 500.0  # the operation succeeded until now
    assert next(pauses) == 1.0
    now = 510.0
    assert next(pauses) == 1.0
    now = 510.1
    assert next(pauses, None) is None


def test_without_patience_a_single_failure_is_forgiven() -> None:
    now = 0.0
    pauses = Retry(1.0, 1.0, patience=0.0).pauses(Clock(monotonic=lambda: now))
    assert next(pauses) == 1.0
    now = 0.1
    assert next(pauses, None) is None
