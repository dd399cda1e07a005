"""Delays of event loops, one's own and those of one in another process."""

from __future__ import annotations

import pytest

from benchmarks.loop_delays import LoopDelays, idle_loop

pytestmark = pytest.mark.component


def test_the_longest_of_all_looks_counts() -> None:
    answers = iter([0.003, 0.021, 0.004])
    delays = LoopDelays(lambda: next(answers))
    assert delays.longest_ms == 0
    for _ in range(3):
        delays.look()
    assert delays.longest_ms == 21


def test_a_loop_that_does_nothing_answers() -> None:
    with idle_loop() as idle:
        idle.look()
        idle.look()
        assert idle.longest_ms >= 0
