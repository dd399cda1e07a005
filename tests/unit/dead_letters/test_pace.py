"""A rate, by a clock that only waiting moves."""

from __future__ import annotations

from worker.clock import Clock
from worker.dead_letters.pace import Pace


class Time:
    def __init__(self) -> None:
        self.now = 100.0

    async def sleep(self, seconds: float) -> None:
        self.now += seconds

    @property
    def clock(self) -> Clock:
        return Clock(monotonic=lambda: self.now, sleep=self.sleep)


async def test_batches_go_no_faster_than_the_rate() -> None:
    time = Time()
    pace = Pace(10, time.clock)
    for _ in range(5):
        await pace.wait(10)
    assert time.now == 104.0


async def test_time_that_was_not_used_is_not_saved_up() -> None:
    time = Time()
    pace = Pace(2, time.clock)
    await pace.wait(1)
    time.now += 60
    await pace.wait(1)
    await pace.wait(1)
    assert time.now == 160.5


async def test_without_a_rate_nothing_waits() -> None:
    time = Time()
    await Pace(None, time.clock).wait(1000)
    assert time.now == 100.0


def test_a_batch_is_a_second_of_records_at_most() -> None:
    assert Pace(None).batch_size(100) == 100
    assert Pace(7.5).batch_size(100) == 7
    assert Pace(0.1).batch_size(100) == 1
    assert Pace(5000).batch_size(100) == 100
