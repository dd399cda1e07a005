"""When slots join the first one, and what becomes of those that cannot."""

from __future__ import annotations

import asyncio

import pytest
import structlog

from worker.clock import Clock
from worker.errors import PredictorError
from worker.inference.late_slots import OVERTAXED, LateSlots


class StandIn:
    """A slot that notes what it is told."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.heard: list[str] = []
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def start(self) -> None:
        self.heard.append("start")
        await self.go_on.wait()
        if self.error is not None:
            raise self.error

    def serve(self) -> None:
        self.heard.append("serve")

    async def share(self, others: int) -> None:
        self.heard.append(f"share with {others}")


class Slots:
    """Slots of which the first one serves, and a clock."""

    def __init__(self, *others: StandIn) -> None:
        self.now = 0.0
        self.first = StandIn()
        self.others = others
        self.late = LateSlots(self.first, others, Clock(lambda: self.now))

    def wait(self, seconds: float) -> None:
        """An image that finds the first slot busy, and is answered so much later."""
        with self.late.waiting():
            self.now += seconds

    async def heard(self) -> list[list[str]]:
        if self.late._joining is not None:
            await asyncio.wait((self.late._joining,))
        return [slot.heard for slot in (self.first, *self.others)]


async def test_they_join_once_images_have_waited_long_enough_in_all() -> None:
    slots = Slots(StandIn(), StandIn())
    slots.now += 100 * OVERTAXED
    slots.wait(OVERTAXED / 2)
    slots.now += 100 * OVERTAXED
    assert await slots.heard() == [[], [], []], "nobody waited between"
    slots.wait(OVERTAXED / 2)
    joined = [["share with 2"], ["start", "serve"], ["start", "serve"]]
    assert await slots.heard() == joined
    slots.wait(OVERTAXED)
    assert await slots.heard() == joined, "once"


async def test_seconds_in_which_several_images_wait_count_once() -> None:
    slots = Slots(StandIn())
    with slots.late.waiting():
        for _ in range(3):
            with slots.late.waiting():
                slots.now += OVERTAXED / 4
        assert await slots.heard() == [[], []]
        slots.now += OVERTAXED / 4
    assert await slots.heard() == [["share with 1"], ["start", "serve"]]


async def test_one_that_cannot_start_is_left_out() -> None:
    slots = Slots(StandIn(PredictorError("no memory")), StandIn())
    slots.wait(OVERTAXED)
    with structlog.testing.capture_logs() as logged:
        assert await slots.heard() == [["share with 1"], ["start"], ["start", "serve"]]
    assert [(entry["event"], entry["error"]) for entry in logged] == [
        ("slot_not_joined", "no memory")
    ]


async def test_without_another_one_the_first_keeps_all_cores() -> None:
    slots = Slots(StandIn(PredictorError("no memory")))
    slots.wait(OVERTAXED)
    assert await slots.heard() == [[], ["start"]]


@pytest.mark.parametrize("begun", [False, True])
async def test_none_joins_after_the_end(begun: bool) -> None:
    slots = Slots(StandIn())
    slots.others[0].go_on.clear()
    if begun:
        slots.wait(OVERTAXED)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    await slots.late.stop()
    slots.wait(OVERTAXED)
    slots.others[0].go_on.set()
    assert await slots.heard() == [[], ["start"] if begun else []]
