"""Repeated messages are told once in a while, with a clock of the test's own."""

from __future__ import annotations

from worker.clock import Clock
from worker.repeats import MOST, Repeats

PAUSE = 10.0


class Time:
    def __init__(self) -> None:
        self.now = 0.0
        self.repeats = Repeats(PAUSE, Clock(lambda: self.now))


def test_a_message_is_told_once_in_a_pause_and_then_how_often_it_was_left_out() -> None:
    time = Time()
    assert time.repeats.admit("gone") == 0
    for time.now in (0.1, 5.0, 9.9):
        assert time.repeats.admit("gone") is None
    time.now = 10.0
    assert time.repeats.admit("gone") == 3
    time.now = 19.9
    assert time.repeats.admit("gone") is None
    time.now = 60.0
    assert time.repeats.admit("gone") == 1


def test_messages_do_not_hold_up_each_other() -> None:
    time = Time()
    assert [time.repeats.admit(text) for text in ("one", "two", "one", "three")] == [0, 0, None, 0]


def test_only_so_many_are_remembered() -> None:
    time = Time()
    for number in range(MOST + 1):
        assert time.repeats.admit(number) == 0
    assert time.repeats.admit(1) is None
    assert time.repeats.admit(0) == 0, "forgotten: it was told longest ago"
