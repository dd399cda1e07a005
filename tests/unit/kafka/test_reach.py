"""When brokers count as lost, with a clock of the test's own."""

from __future__ import annotations

import asyncio

from structlog.testing import capture_logs

from worker.clock import Clock
from worker.kafka.reach import INTERVAL, PATIENCE, Reach


class Bench:
    """A watch over brokers that are connected for some of the time."""

    def __init__(self, *outages: tuple[float, float]) -> None:
        self.now = 0.0
        self._outages = outages
        self.told: list[tuple[float, bool]] = []
        self.reach = Reach(self._connected, self._note, Clock(lambda: self.now, sleep=self._sleep))

    def _connected(self) -> bool:
        return not any(began <= self.now < ended for began, ended in self._outages)

    def _note(self) -> None:
        self.told.append((self.now, self.reach.lost()))

    async def _sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.now > 100:
            raise asyncio.CancelledError

    async def run(self) -> list[str]:
        with capture_logs() as logged:
            await asyncio.gather(self.reach.run(), return_exceptions=True)
        return [entry["event"] for entry in logged]


async def test_brokers_are_lost_after_a_while_and_back_at_once() -> None:
    bench = Bench((20.0, 60.0))
    assert await bench.run() == ["no_broker_answers", "broker_answers_again"]
    (lost_at, lost), (back_at, still) = bench.told
    assert (lost, still) == (True, False)
    assert PATIENCE <= lost_at - 20.0 <= PATIENCE + 2 * INTERVAL
    assert back_at == 60.0


async def test_a_restart_of_the_brokers_is_no_loss() -> None:
    bench = Bench((20.0, 20.0 + PATIENCE - INTERVAL), (40.0, 40.0 + PATIENCE - INTERVAL))
    assert await bench.run() == []
    assert bench.told == []


def test_who_asks_need_not_wait_for_the_next_look() -> None:
    bench = Bench((0.0, 30.0))
    bench.now = 29.0
    assert bench.reach.lost()
    bench.now = 30.0
    assert not bench.reach.lost()
