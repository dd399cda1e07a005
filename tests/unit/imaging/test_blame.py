"""Which call ends with an error when its process ends, and which is done elsewhere."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from worker.errors import Stage
from worker.imaging.blame import MOST_LOST, errors_of_calls
from worker.imaging.call import Call, DiedError, OrphanedError


def call(number: int, stage: Stage = Stage.DECODE) -> Call:
    answer = asyncio.get_running_loop().create_future()
    return Call(number, stage, {}, b"", 1.0, answer)


class Process:
    """Two calls, of which the first runs, and one that waits for its turn to draw."""

    def __init__(self, *, ended_in: int = 0, proved: bool = True) -> None:
        self.first, self.second, self.drawing = call(1), call(2), call(3, Stage.DRAW)
        self.ended = SimpleNamespace(
            calls=[self.first, self.second], draws=[self.drawing], ended_in=ended_in, proved=proved
        )

    def errors(self, died: DiedError | None) -> dict[int, Exception | None]:
        return {one.number: error for one, error in errors_of_calls(cast("Any", self.ended), died)}


async def test_the_call_that_the_process_was_in_has_the_blame() -> None:
    died = DiedError("crash", "signal 11")
    assert Process(ended_in=1).errors(died) == {1: died, 2: None, 3: None}
    assert Process(ended_in=2).errors(died) == {1: None, 2: died, 3: None}


async def test_a_call_that_nobody_waits_for_has_no_blame() -> None:
    process = Process(ended_in=1)
    process.first.withdrawn = True
    assert process.errors(DiedError("crash")) == {1: None, 2: None, 3: None}


async def test_the_first_call_of_processes_that_were_in_none_has_the_blame_in_the_end() -> None:
    process, died = Process(), DiedError("crash")
    found = [process.errors(died) for _ in range(MOST_LOST)]
    assert [each[1] for each in found] == [None] * (MOST_LOST - 1) + [died]
    assert all((each[2], each[3]) == (None, None) for each in found)
    new = Process(proved=False)
    assert [new.errors(died)[1] for _ in range(MOST_LOST)] == [None] * MOST_LOST, "not begun"


async def test_all_that_may_be_the_cause_hear_that_all_processes_are_lost() -> None:
    process = Process()
    errors = process.errors(DiedError("parent"))
    begun = {number: getattr(error, "begun", None) for number, error in errors.items()}
    assert begun == {1: True, 2: None, 3: False}, "a call that was not begun is done elsewhere"
    assert isinstance(errors[3], OrphanedError), "its picture is gone"
    assert process.first.lost == 0


@pytest.mark.parametrize("ended_in", [0, 1])
async def test_a_process_that_never_was_has_nobody_to_blame(ended_in: int) -> None:
    assert Process(ended_in=ended_in, proved=False).errors(None) == {1: None, 2: None, 3: None}
