"""Which call is next: the most urgent one, once there is a cell; what was lost goes first."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from worker.errors import Stage
from worker.imaging.call import Call, LostError
from worker.imaging.crops import CropCells
from worker.imaging.waiting import WaitingCalls


class Bench:
    def __init__(self, cells: int = 10) -> None:
        self.cells = CropCells(cells, (1, 1))
        self.waiting = WaitingCalls(self.cells)
        self._number = 0

    def call(self, urgency: float = 1.0, stage: Stage = Stage.DECODE, **options: Any) -> Call:
        self._number += 1
        options = {"needs_cell": stage is Stage.DECODE, **options}
        answer = asyncio.get_running_loop().create_future()
        return Call(self._number, stage, {}, b"", urgency, answer, **options)

    def next_urgencies(self) -> list[float]:
        found = []
        while (call := self.waiting.next()) is not None:
            found.append(call.urgency)
        return found


async def test_the_most_urgent_is_next_and_equals_in_order() -> None:
    bench = Bench()
    calls = [bench.call(urgency) for urgency in (3.0, 1.0, 2.0, 1.0)]
    for call in calls:
        bench.waiting.add(call)
    taken = [bench.waiting.next() for _ in range(4)]
    assert taken == [calls[1], calls[3], calls[2], calls[0]]
    assert bench.waiting.next() is None


async def test_calls_wait_for_cells_and_those_that_need_none_do_not() -> None:
    bench = Bench(cells=1)
    for urgency in (1.0, 2.0):
        bench.waiting.add(bench.call(urgency))
    bench.waiting.add(bench.call(9.0, needs_cell=False))
    assert bench.next_urgencies() == [9.0, 1.0]
    assert [call.urgency for call in bench.waiting] == [2.0]
    bench.cells.give_back(0)
    assert bench.next_urgencies() == [2.0]


async def test_a_call_that_was_not_begun_goes_first_with_its_cell_or_without() -> None:
    bench = Bench()
    bench.waiting.add(bench.call(0.0))
    for urgency in (5.0, 7.0):
        bench.waiting.add_again(bench.call(urgency))
    with_cell = bench.call(9.0)
    with_cell.cell = bench.cells.take()
    bench.waiting.add_again(with_cell)
    assert bench.next_urgencies() == [9.0, 5.0, 7.0, 0.0]


async def test_a_draw_that_was_not_begun_has_lost_its_picture() -> None:
    bench = Bench()
    call = bench.call(stage=Stage.DRAW)
    bench.waiting.add_again(call)
    assert call.answer is not None
    with pytest.raises(LostError):
        await call.answer


async def test_what_is_withdrawn_is_skipped_and_holds_no_cell() -> None:
    bench = Bench()
    urgent, alone, again, makeup = (
        bench.call(),
        bench.call(alone=True),
        bench.call(),
        bench.call(),
    )
    bench.waiting.add(urgent)
    bench.waiting.add(alone)
    assert bench.waiting.next_alone() is alone
    for call in (again, makeup):
        call.cell = bench.cells.take()
    bench.waiting.add_again(makeup)
    for call in (urgent, alone, again, makeup):
        call.withdrawn = True
        bench.waiting.withdraw(call)
    bench.waiting.add_again(again)
    assert list(bench.waiting) == []
    assert bench.waiting.next() is None
    assert bench.waiting.next_alone() is None
    assert bench.cells.in_use == 0


async def test_what_must_be_alone_waits_for_a_cell_too() -> None:
    bench = Bench(cells=1)
    cell = bench.cells.take()
    first, second = bench.call(alone=True), bench.call(alone=True)
    bench.waiting.add(first)
    bench.waiting.add(second)
    assert bench.waiting.next_alone() is None
    bench.cells.give_back(cell)
    assert bench.waiting.next_alone() is first
    assert bench.waiting.take_alone() is first
    assert first.cell == cell
    assert bench.waiting.next() is None
